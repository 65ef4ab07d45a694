#include "search/shared_work.h"

#include <climits>

#include "base/file.h"
#include "base/json.h"
#include "search/keep.h"

namespace retort::search {
namespace {

namespace fs = std::filesystem;
using nlohmann::json;

constexpr std::string_view kWorkKey = "work";
constexpr const char* kFilesStage = "files";

}  // namespace

void publish(study::Storage& storage, const SharedWork& work) {
  storage.put_document(kWorkKey, dump_json(json{{"pipeline", work.pipeline},
                                                {"planned", work.planned},
                                                {"teacher", work.teacher},
                                                {"over", work.over}}));
}

std::optional<SharedWork> shared_work(const study::Storage& storage) {
  const auto text = storage.document(kWorkKey);
  if (!text) return std::nullopt;
  const json in = json::parse(*text);
  return SharedWork{.pipeline = in.at("pipeline"),
                    .planned = in.at("planned"),
                    .teacher = in.at("teacher"),
                    .over = in.at("over")};
}

void publish_work(Session& session, const PipelineSettings& pipeline) {
  if (session.options.storage.url.empty()) return;
  SharedWork work{.pipeline = pipeline,
                  .planned = session.planned > 0 ? static_cast<int>(session.planned) : INT_MAX,
                  .teacher = {}};
  keep([&] {
    study::Storage& storage = session.folder.storage();
    if (session.teacher.logits)
      for (const char* name : {"logits.npy", "logits.json"})
        work.teacher[name] = storage.put_artefact(read_file(session.folder.path() / "teacher" / name));
    publish(storage, work);
  });
}

void publish_end(Session& session) {
  if (session.options.storage.url.empty()) return;
  keep([&] {
    publish(session.folder.storage(), {.pipeline = session.pipeline, .teacher = {}, .over = true});
  });
}

void put_files(study::Storage& storage, const study::Claim& claim, const fs::path& folder) {
  json files = json::object();
  for (const char* name : {"model.tflite", "weights.retort", "result.json"})
    if (fs::exists(folder / name)) files[name] = storage.put_artefact(read_file(folder / name));
  if (files.empty()) return;
  storage.put_stage(claim, {kFilesStage, dump_json(files)});
}

void get_files(const study::Storage& storage, const study::TrialRecord& record, const fs::path& folder) {
  for (const study::StageRecord& stage : record.stages) {
    if (stage.name != kFilesStage) continue;
    const json files = json::parse(stage.result);
    for (const auto& [name, hash] : files.items()) {
      const fs::path file = folder / fs::path(name).filename();
      if (!fs::exists(file)) write_file_atomic(file, storage.artefact(hash.get<std::string>()));
    }
  }
}

}  // namespace retort::search
