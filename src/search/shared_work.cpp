#include "search/shared_work.h"

#include <array>
#include <climits>
#include <system_error>
#include <utility>

#include "base/file.h"
#include "base/json.h"
#include "engine/onednn/onednn.h"
#include "search/json_numbers.h"
#include "search/keep.h"
#include "search/stored_json.h"

namespace retort::search {
namespace {

namespace fs = std::filesystem;

constexpr std::string_view kWorkKey = "work";
constexpr const char* kFilesStage = "files";
// Nothing else is written to a machine, whatever names a database holds.
constexpr std::array kLogits = {"logits.npy", "logits.json"};
constexpr std::array kTeacherFiles = {kLogits[0], kLogits[1], "weights.retort"};
constexpr std::array kTrialFiles = {"model.tflite", "weights.retort", "result.json"};

// Those of `names` that `files` has: {name: artefact}, into home / below, unless these very bytes are there.
template <size_t n>
void get_named(const study::Storage& storage, const Json& files, const std::array<const char*, n>& names,
               const fs::path& home, const fs::path& below) {
  const fs::path folder = without_links(home, below);
  for (const char* name : names) {
    if (!files.contains(name)) continue;
    const auto hash = read_stored("list of files", [&] { return files[name].get<std::string>(); });
    const fs::path file = folder / name;
    if (!fs::exists(file) || sha256_hex(read_file(file)) != hash)
      write_file_atomic(file, storage.artefact(hash));
  }
}

// What a search tells its workers and they tell it: a worker that knows nothing of a part of it would train something else. Changes
// with every such part.
constexpr int kWorkFormat = 2;

std::string to_text(const SharedWork& work) {
  return dump_json(Json{{"format", kWorkFormat},
                        {"pipeline", work.pipeline},
                        {"confirms", work.trials == Trials::Confirmations},
                        {"planned", work.planned},
                        {"teacher", work.teacher},
                        {"over", work.over},
                        {"cpu", work.cpu},
                        {"artefacts", work.artefacts}});
}

// With what a worker compares its own machine.
void publish_from(StudyFolder& folder, SharedWork work) {
  study::Storage& storage = folder.storage();
  work.cpu = cpu_class();
  if (!storage.artefact_folder().empty()) {
    // Bytes that no other search leaves in its folder.
    const std::string mark = fmt::format("Files of the search by {}.\n", folder.worker());
    work.artefacts = storage.put_artefact(std::vector<uint8_t>(mark.begin(), mark.end()));
  }
  publish(storage, work);
}

// As validate(), but that a stage which is not there may have no epochs, and one of a long time more than the options allow.
void check(PipelineSettings pipeline) {
  for (int* epochs : {&pipeline.quick_epochs, &pipeline.distill_epochs, &pipeline.channels_epochs,
                      &pipeline.prune_epochs, &pipeline.qat_epochs})
    if (*epochs >= 0 && *epochs <= kMostStoredEpochs) *epochs = 1;
  validate(pipeline);
}

}  // namespace

std::string cpu_class() {
  return engine::onednn::instruction_set();
}

bool SharedWork::operator==(const SharedWork& other) const {
  return to_text(*this) == to_text(other);
}

void check_artefacts(const study::Storage& storage, const SharedWork& work) {
  const fs::path folder = storage.artefact_folder();
  if (work.artefacts.empty() && !folder.empty())
    throw_usage("the search keeps its files in the database, not in {}: leave out --artefacts",
                folder.string());
  if (work.artefacts.empty()) return;
  if (folder.empty()) throw_usage("the search keeps its files in a folder: give it with --artefacts");
  std::error_code unreadable;
  if (!fs::exists(folder / work.artefacts, unreadable))
    throw_usage(
        "{} is not the folder of the search's files ({:.12}… is not there): give the one that the "
        "search has with --artefacts",
        folder.string(), work.artefacts);
}

void publish(study::Storage& storage, const SharedWork& work) {
  storage.put_document(kWorkKey, to_text(work));
}

std::optional<SharedWork> shared_work(const study::Storage& storage) {
  const auto stored = read_document(storage, kWorkKey);
  if (!stored) return std::nullopt;
  const Json& in = *stored;
  if (const Json format = in.value("format", Json()); format != kWorkFormat)
    throw_usage(
        "the search gives its workers work of format {}, and this retort knows format {}: run the same "
        "version as the search",
        dump_json(format), kWorkFormat);
  auto work = read_stored("'work'", [&] {
    return SharedWork{.pipeline = in.at("pipeline"),
                      .trials = in.value("confirms", false) ? Trials::Confirmations : Trials::Search,
                      .planned = in.at("planned"),
                      .teacher = in.at("teacher"),
                      .over = in.at("over"),
                      .cpu = in.at("cpu"),
                      .artefacts = in.at("artefacts")};
  });
  check(work.pipeline);
  return work;
}

void publish_work(Session& session, const PipelineSettings& pipeline, Trials trials) {
  if (!session.folder.is_shared()) return;
  SharedWork work{.pipeline = pipeline,
                  .trials = trials,
                  .planned = trials == Trials::Search && session.planned > 0
                                 ? static_cast<int>(session.planned)
                                 : INT_MAX,
                  .teacher = {}};
  keep([&] {
    const Json files = session.folder.document(kTeacherFilesKey).value_or(Json::object());
    if (session.teacher.logits)
      for (const char* name : kLogits) work.teacher[name] = files.at(name).get<std::string>();
    publish_from(session.folder, std::move(work));
  });
}

void publish_end(Session& session) {
  if (!session.folder.is_shared()) return;
  keep([&] { publish_from(session.folder, {.pipeline = session.pipeline, .teacher = {}, .over = true}); });
}

void put_teacher(Session& session) {
  if (!session.folder.is_shared() || !session.teacher.logits) return;
  Json files = Json::object();
  keep([&] {
    for (const char* name : kTeacherFiles) {
      const fs::path file = session.folder.path() / "teacher" / name;
      if (fs::exists(file)) files[name] = session.folder.storage().put_artefact(read_file(file));
    }
  });
  session.folder.put_document(kTeacherFilesKey, files);
}

void get_teacher(StudyFolder& folder) {
  if (!folder.is_shared()) return;
  const Json files = folder.document(kTeacherFilesKey).value_or(Json::object());
  keep([&] { get_named(folder.storage(), files, kTeacherFiles, folder.path(), "teacher"); });
}

void get_logits(const study::Storage& storage, const SharedWork& work, const fs::path& home) {
  get_named(storage, work.teacher, kLogits, home, "teacher");
}

void put_files(study::Storage& storage, const study::Claim& claim, const fs::path& folder) {
  Json files = Json::object();
  for (const char* name : kTrialFiles)
    if (fs::exists(folder / name)) files[name] = storage.put_artefact(read_file(folder / name));
  if (files.empty()) return;
  storage.put_stage(claim, {kFilesStage, dump_json(files)});
}

void get_files(const study::Storage& storage, const study::TrialRecord& record, const fs::path& home,
               const fs::path& folder) {
  for (const study::StageRecord& stage : record.stages) {
    if (stage.name != kFilesStage) continue;
    const Json files = read_stored("list of files", [&] { return parse_json(stage.result); });
    get_named(storage, files, kTrialFiles, home, folder);
  }
}

}  // namespace retort::search
