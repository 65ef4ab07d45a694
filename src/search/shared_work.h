// What a search and its workers on other machines hand each other through the study. Private to this room.
#pragma once

#include <filesystem>
#include <map>
#include <optional>
#include <string>
#include <vector>

#include "base/json.h"
#include "search/session.h"
#include "search/settings.h"
#include "study/storage.h"

namespace retort::search {

// What a trial of this phase of the search needs beside its proposal and the data.
struct SharedWork {
  PipelineSettings pipeline;
  Trials trials = Trials::Search;
  int planned = 0;                             // trials below this number are to be trained
  std::map<std::string, std::string> teacher;  // files of its logits and their artefacts; none: no teacher
  bool over = false;                           // nothing more will come
  std::string cpu{};                           // cpu_class() of the search
  std::string artefacts{};  // one in the search's folder of them; empty: they are in the database
  [[nodiscard]] bool operator==(const SharedWork& other) const;
};

// What of a processor decides how numbers are rounded: "AVX-512 with bfloat16". Two of one class train the same networks to
// the same bytes.
std::string cpu_class();

// Error(Usage) where the search would not find what is stored here: in another --artefacts folder than its own, or in one where
// it has none.
void check_artefacts(const study::Storage& storage, const SharedWork& work);

void publish(study::Storage& storage, const SharedWork& work);
// Nothing until it was published. Throws for what is no work, and for a pipeline that validate() refuses: whoever may write to
// the study's database says what the others train.
std::optional<SharedWork> shared_work(const study::Storage& storage);

// The search's side, before the first trials of a phase are added: with the teacher's logits.
void publish_work(Session& session, const PipelineSettings& pipeline, Trials trials = Trials::Search);
// And when nothing more will come.
void publish_end(Session& session);

// The teacher's files: from the folder into a shared study, once a run, and from there into a folder that lacks them.
void put_teacher(Session& session);
void get_teacher(StudyFolder& folder);
// Of these the logits alone, for a worker: into teacher/ of its own folder.
void get_logits(const study::Storage& storage, const SharedWork& work, const std::filesystem::path& home);

// A finished candidate's files, from its folder into the study, and from there into home / folder, which is refused where one of
// its parts is a link.
void put_files(study::Storage& storage, const study::Claim& claim, const std::filesystem::path& folder);
void get_files(const study::Storage& storage, const study::TrialRecord& record,
               const std::filesystem::path& home, const std::filesystem::path& folder);

}  // namespace retort::search
