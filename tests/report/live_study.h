// A study's database such as a search leaves or has under way, for the tests of the live page.
#pragma once

#include <filesystem>
#include <memory>
#include <string>
#include <vector>

#include "base/json.h"
#include "graph/notebook.h"
#include "search/results.h"
#include "search/run_status.h"
#include "search/settings.h"
#include "search/study_folder.h"
#include "search/trial_record.h"
#include "study/storage.h"

namespace retort::report {

class LiveStudy {
 public:
  explicit LiveStudy(const std::filesystem::path& folder)
      : storage_(study::open_storage(study::sqlite_place(folder / "study.db"), search::objectives())) {}

  [[nodiscard]] study::Storage& storage() { return *storage_; }

  void describe(const search::StudyResult& study) {
    put(search::kDescriptionKey,
        {{"settings", search::preset(study.preset)},
         {"data",
          {{"spec", study.data_spec}, {"content_hash", study.content_hash}, {"classes", study.classes}}},
         {"command", study.command}});
    put(search::kTeacherKey, study.teacher);
  }
  void finish(const search::StudyResult& study) {
    put(search::kFinalistsKey, {{"finalists", study.finalists}, {"best", study.best}});
  }
  // Adds a trial; until its result is given it runs, and `worker` has it.
  study::Claim begin(const std::string& config, const std::string& worker = "host:/out") {
    search::StoredProposal stored;
    stored.proposal.config = config;
    stored.proposal.graph = graph::graph_from_config("1,1,8,0", {8, 8, 1}, 3);
    const study::NewTrial trial = {.proposal = dump_json(search::to_stored(stored))};
    storage_->add_trials(static_cast<int>(storage_->trials().size()), std::vector{trial});
    return storage_->claim(worker, 60)->claim;
  }
  void end(const study::Claim& claim, search::TrialResult result) {
    result.number = claim.trial;
    for (const search::StageResult& stage : result.stages)
      storage_->put_stage(claim, {stage.name, dump_json(Json(stage))});
    storage_->finish(claim, search::to_ending(result));
  }
  void add(const search::TrialResult& result) { end(begin(result.config), result); }
  // What a search says of itself.
  void say(const std::string& state, int beat, double at, const Json& tasks = Json::array()) {
    put(search::kRunKey, {{"id", "run-1"},
                          {"state", state},
                          {"host", "box"},
                          {"process", 7},
                          {"beat", beat},
                          {"at", at},
                          {"tasks", tasks}});
  }
  void put(std::string_view key, const Json& json) { storage_->put_document(key, dump_json(json)); }

 private:
  std::unique_ptr<study::Storage> storage_;
};

inline double unix_seconds() {
  return std::chrono::duration<double>(std::chrono::system_clock::now().time_since_epoch()).count();
}

}  // namespace retort::report
