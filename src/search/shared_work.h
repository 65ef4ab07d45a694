// What a search and its workers on other machines hand each other through the study. Private to this room.
#pragma once

#include <filesystem>
#include <map>
#include <nlohmann/json.hpp>
#include <optional>
#include <string>
#include <vector>

#include "search/session.h"
#include "search/settings.h"
#include "study/storage.h"

namespace retort::search {

// What a trial of this phase of the search needs beside its proposal and the data.
struct SharedWork {
  PipelineSettings pipeline;
  int planned = 0;                             // trials below this number are to be trained
  std::map<std::string, std::string> teacher;  // files of its logits and their artefacts; none: no teacher
  bool over = false;                           // nothing more will come
};

void publish(study::Storage& storage, const SharedWork& work);
// Nothing until it was published.
std::optional<SharedWork> shared_work(const study::Storage& storage);

// The search's side, before the first trials of a phase are added: with the teacher's logits.
void publish_work(Session& session, const PipelineSettings& pipeline);
// And when nothing more will come.
void publish_end(Session& session);

// A finished candidate's files, from its folder into the study, and from there into another folder.
void put_files(study::Storage& storage, const study::Claim& claim, const std::filesystem::path& folder);
void get_files(const study::Storage& storage, const study::TrialRecord& record,
               const std::filesystem::path& folder);

}  // namespace retort::search
