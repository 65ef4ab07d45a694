// A study's folder: its lock, its database, and what it holds. Private to this room.
#pragma once

#include <cstdint>
#include <filesystem>
#include <functional>
#include <map>
#include <memory>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "base/file.h"
#include "base/json.h"
#include "data/dataset.h"
#include "search/keep.h"
#include "search/recipe.h"
#include "search/results.h"
#include "search/sampler.h"
#include "search/settings.h"
#include "study/storage.h"

namespace retort::search {

// Keys of the study's documents.
inline constexpr std::string_view kDescriptionKey = "description";  // settings and data: what must not change
inline constexpr std::string_view kSplitKey = "split";              // {"validation":[…],"test":[…]}
inline constexpr std::string_view kImagesKey = "images";            // how many for training, validation, test
inline constexpr std::string_view kRangeKey = "range";              // what the data's bytes stand for
inline constexpr std::string_view kSpeedsKey = "speeds";            // seconds of an epoch by structural hash
inline constexpr std::string_view kExplorationKey =
    "exploration";                                          // Exploring, as explore_phase.cpp stores it
inline constexpr std::string_view kRecipeKey = "recipe";    // as recipe_heats.cpp stores it
inline constexpr std::string_view kPlanKey = "plan";        // of a timed search
inline constexpr std::string_view kTeacherKey = "teacher";  // TeacherResult
inline constexpr std::string_view kTeacherFilesKey = "teacher_files";  // {name: artefact} of a shared study
inline constexpr std::string_view kTeacherEpochsKey = "teacher_epochs";
inline constexpr std::string_view kNoTeacherKey =
    "no_teacher";  // the sentence that says why there is no time
inline constexpr std::string_view kFinalistPlanKey =
    "finalist_plan";                                            // {conditions, jobs: [[trial, run], …]}
inline constexpr std::string_view kFinalistsKey = "finalists";  // when all is done
inline constexpr std::string_view kLastRunKey =
    "last_run";  // how it was run last: workers, threads, memory; shapes nothing
inline constexpr std::string_view kSecondsKey = "seconds";  // over resumed runs

// A finalist's run from another seed.
struct Confirmation {
  int trial = 0;  // the finalist
  uint64_t seed = 0;
  std::map<std::string, int, std::less<>> epochs;  // of each stage, as the finalist had them
};

// A proposal with what it costs, as a trial stores it.
struct StoredProposal {
  Effort effort = Effort::Full;
  Proposal proposal;
  TrialResult costs;       // parameters, macs, flash_bytes, arena_bytes_*, footprint, latency; the rest unset
  std::string infeasible;  // one sentence, or empty
  double epoch_seconds = 0;  // measured; 0 when it was not
  // Planned for this one by stage; a stage that is not here has the pipeline's.
  std::map<std::string, int, std::less<>> epochs{};
  std::optional<Confirmation> confirms{};
  std::optional<Recipe> recipe{};  // that it is trained by; none: the settings' own
};
Json to_stored(const StoredProposal& stored);
StoredProposal from_stored(const Json& json);
// The trial's. Error(Failure) for what is none.
StoredProposal proposal_of(const study::TrialRecord& trial);

// Which study trials are in: the search's own, or the one beside it of its finalists' runs from other seeds.
enum class Trials { Search, Confirmations };

class StudyFolder {
 public:
  // Creates the folder, takes its lock and opens the database: that of place_of(path, place), which the folder remembers.
  // Error(Usage) where it would begin a second search in the folder.
  explicit StudyFolder(const std::filesystem::path& path, const study::Place& place = {});

  [[nodiscard]] const std::filesystem::path& path() const { return path_; }
  [[nodiscard]] study::Storage& storage() { return *storage_; }
  [[nodiscard]] study::Storage& storage_of(Trials trials);
  // Whether other machines may work on the study: it is elsewhere.
  [[nodiscard]] bool is_shared() const { return shared_; }
  // The name under which this process claims trials and leads: nobody else's while it has the lock.
  [[nodiscard]] const std::string& worker() const { return worker_; }

  // Nothing when there is none; null counts as none.
  [[nodiscard]] std::optional<Json> document(std::string_view key) const;
  void put_document(std::string_view key, const Json& json);

  // Stores what the study is about, or throws Error(Usage) saying what differs from what is stored. A timed
  // search may get more time, or be freed of its limit.
  void describe(const SearchSettings& settings, const data::Dataset& dataset, const std::string& command);
  // The split of an earlier run, or a new one.
  data::Split split(const SearchSettings& settings, const data::Dataset& dataset);

 private:
  std::filesystem::path path_;
  std::string worker_;
  std::unique_ptr<FileLock> lock_;
  study::Place place_;
  bool shared_ = false;
  std::unique_ptr<study::Storage> storage_;
  std::unique_ptr<study::Storage> confirmations_;
};

// Nothing when there is none; null counts as none. Error(Failure) for what is no JSON.
std::optional<Json> read_document(const study::Storage& storage, std::string_view key);
// The split as it was stored under kSplitKey. Error(Failure) for what is no split of these images.
data::Split stored_split(const Json& stored, const data::Dataset& dataset);
std::string host_name();
// A hash of what must not change in a search, of its description.
std::string search_identity(const Json& description);

// Key of a finalist's run from another seed, as a TrialResult; runs count from 1.
std::string finalist_key(int trial, int run);
// Puts the finalists' order into `top`, and the figures of each one's best run in place of its trial's.
void take_best_runs(StudyResult& study, const study::Storage& storage);

// StudyResult::plan_json of what is decided so far.
std::string plan_json(const study::Storage& storage);

// Everything finished so far, as a StudyResult. Error(Usage) when the storage holds no search.
StudyResult collect(const study::Storage& storage);

}  // namespace retort::search
