// What a search found: plain data that the study stores, the program prints and the report draws.
#pragma once

#include <cstdint>
#include <limits>
#include <optional>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "base/json_fwd.h"
#include "compress/pruning.h"
#include "cost/footprint.h"
#include "cost/latency.h"
#include "data/dataset.h"
#include "engine/trainer.h"
#include "search/recipe.h"

namespace retort::search {

inline constexpr double kUnknown = std::numeric_limits<double>::quiet_NaN();

// One stage that a candidate went through.
struct StageResult {
  std::string name;                       // "quick", "channels", "distill", "prune", "quantize"
  int epochs = 0;                         // as decided when it began; early stopping may have ended it sooner
  int trained = 0;                        // epochs that it had
  engine::History history;                // with all of them, or none where a large study is read
  double validation_accuracy = kUnknown;  // after the stage, in float (QAT: with fake quantisation)
  double sparsity = 0;                    // zeros among the kernels' weights after the stage
  std::vector<compress::LayerSparsity> layers;  // the same layer by layer; empty while there are none
  double seconds = 0;                           // on this candidate's one thread
};

// A stage whose numbers ceased to be finite. The first time it begins anew with a lower rate, the second time the trial
// fails.
struct Diverged {
  std::string stage;
  std::string what;  // one sentence, with the step and the layer
  bool operator==(const Diverged&) const = default;
};
// Of the learning rate, for the stage that diverged and those after it.
inline constexpr float kRateAfterDivergence = 0.25F;
inline constexpr size_t kMostDivergences = 1;  // that a trial gets over

enum class Outcome {
  Complete,
  Skipped,     // did not pass the gate
  Infeasible,  // does not fit the limits: never trained
  Failed,      // an error of its own
};

// How much of the training a trial got.
enum class Effort {
  Full,     // the whole pipeline
  Recipe,   // the whole pipeline in fewer epochs, to find out which recipe is best
  Heat,     // some epochs from fresh weights, on equal terms with others that were explored
  Explore,  // a little, to find out which structures are worth that
};
std::string_view to_string(Effort effort);   // "full", "recipe", "heat", "explore"
Effort parse_effort(std::string_view name);  // Error(Failure) for another

// Whether the name of a file is like those of a study's folder: letters, digits, - _ . and / alone. In an address it needs no
// quoting, and names no other place nor a script.
bool is_plain_file(std::string_view name);

struct TrialResult {
  int number = 0;      // from 0, in the order proposed
  std::string config;  // "3 blocks, 2 layers, 32 filters, 1 dense, 128 units"
  std::string layers;  // the notebook's list: "[('Conv2D', 32), …]"
  std::string hash;    // graph::structural_hash
  uint64_t seed = 0;
  Effort effort = Effort::Full;
  // Of an explored one the trial whose change it is, of the others the one whose structure it is; −1: none.
  int parent = -1;
  Outcome outcome = Outcome::Complete;
  std::string reason;            // of Skipped, Infeasible and Failed: one sentence
  std::optional<Recipe> recipe;  // that it was trained by; none: the settings' own
  std::vector<StageResult> stages;
  std::vector<Diverged> diverged;    // in the order of time; mostly none
  bool is_hopeless = false;          // Failed, and would be again; not stored
  int64_t refused_memory_bytes = 0;  // Failed for want of memory: what its process might have; else 0
  double quick_accuracy = kUnknown;  // validation, float
  double accuracy_float = kUnknown;  // validation, float, before quantising
  double accuracy_int8 = kUnknown;   // validation, bit-exact int8: what is ranked
  int64_t parameters = 0;
  int64_t macs = 0;
  int64_t flash_bytes = 0;  // the .tflite file
  int64_t arena_bytes_cortex_m4 = 0;
  int64_t arena_bytes_host = 0;
  cost::Footprint footprint;             // with the search's runtime; zeros in studies from before there were
  std::optional<cost::Latency> latency;  // on the search's board
  double sparsity = 0;                   // zeros among the kernels' int8 weights in the file
  std::string file;                      // the .tflite, relative to the study's folder
  double seconds = 0;
};

// A finalist is trained again from other seeds; the test set is read here and nowhere else.
struct FinalistRun {
  uint64_t seed = 0;
  double validation_accuracy = kUnknown;  // int8
  double test_accuracy = kUnknown;        // int8
  std::string file;
  double accuracy_float = kUnknown;  // validation, before quantising
  double sparsity = 0;               // zeros among the kernels' int8 weights in the file
};
struct Finalist {
  int trial = 0;
  std::vector<FinalistRun> runs;  // the search's own run first
  double validation_mean = kUnknown;
  double validation_spread = 0;  // sample standard deviation over the runs; 0 for one run
  double test_mean = kUnknown;
  double test_spread = 0;
  int best_run = 0;  // by validation accuracy: the one whose figures are shown and whose file is exported
};

struct TeacherResult {
  std::string source;  // "trained", "file …", "logits …", "none"
  engine::History history;
  double validation_accuracy = kUnknown;
  double test_accuracy = kUnknown;  // read once, at the end
  int threads = 0;                  // that its numbers were computed on: part of the machine; 0: not here
  double logits_seconds = 0;
  double seconds = 0;
  std::vector<Diverged> diverged{};  // in the order of time; mostly none
};

struct StudyResult {
  std::string data_spec;
  std::string content_hash;
  std::vector<std::string> classes;
  data::ValueRange range;  // of the data's values, which its bytes stand for
  int64_t train_images = 0;
  int64_t validation_images = 0;
  int64_t test_images = 0;
  std::string preset;
  std::string settings_json;  // every number that shaped the search
  std::string plan_json;      // of a timed search: the epochs that the time has room for; empty: none yet
  std::string command;        // as given, for the report
  TeacherResult teacher;
  std::vector<TrialResult> trials;  // by number; of a finalist the figures of its best run
  int left_out = 0;  // structures that the time had no room for: a run with more time takes them up
  // Trial numbers: best int8 validation accuracy first, then smaller file; once there are finalists in their
  // order.
  std::vector<int> top;
  // Those with most runs first, of these the best mean validation accuracy.
  std::vector<Finalist> finalists;
  int best = -1;       // trial number of the exported finalist, the first; −1: none yet
  double seconds = 0;  // over resumed runs
};

std::string_view to_string(Outcome outcome);  // "complete", "skipped", "infeasible", "failed"

// JSON keeps everything; a number that is not known (NaN) is null.
void to_json(Json& json, const StageResult& stage);
void from_json(const Json& json, StageResult& stage);
void to_json(Json& json, const Diverged& diverged);
void from_json(const Json& json, Diverged& diverged);
void to_json(Json& json, const TeacherResult& teacher);
void from_json(const Json& json, TeacherResult& teacher);
void to_json(Json& json, const FinalistRun& run);
void from_json(const Json& json, FinalistRun& run);
void to_json(Json& json, const Finalist& finalist);
void from_json(const Json& json, Finalist& finalist);
void to_json(Json& json, const TrialResult& trial);
void from_json(const Json& json, TrialResult& trial);
void to_json(Json& json, const StudyResult& study);
void from_json(const Json& json, StudyResult& study);

// The exported model: its trial, its finalist, and the run whose file it is. All null while there is none.
struct BestModel {
  const TrialResult* trial = nullptr;
  const Finalist* finalist = nullptr;
  const FinalistRun* run = nullptr;
};
BestModel best_model(const StudyResult& study);
// Null when it is no finalist.
const Finalist* find_finalist(const StudyResult& study, int trial);
// Null when there is no trial of that number.
const TrialResult* find_trial(const StudyResult& study, int number);

// Whether people are shown this trial's epochs: the first trials' and the top ones'. Those of a large study would be
// gigabytes; of the others load_study() leaves them in the database.
inline constexpr int kTrialsShown = 2000;
bool shows_epochs(const StudyResult& study, const TrialResult& trial);

// Numbers of the complete trials: those that got the whole pipeline first, then those of a recipe's rung, those of
// the heats, the explored ones; of each the best int8 validation accuracy first, then the smaller file; at most `count`.
std::vector<int> rank_trials(const std::vector<TrialResult>& trials, int count);

// The complete trials that no other beats: one that is at least as accurate (int8, validation) and takes no
// more flash, RAM and multiply-accumulates, and less of one of them or is more accurate. Most accurate first.
std::vector<int> pareto_front(const std::vector<TrialResult>& trials);

// The epochs that it was really trained: "quick 5, distill 10, prune 1, quantize 5".
std::string epochs_text(const TrialResult& trial);

// What the search took, by its clock: "8m 00s", "8m 00s of processor time a core".
std::string time_text(const StudyResult& study);

// "diverged in distill (step 12 of 300: the output of layer 3 (conv) is not finite; …)", or empty.
std::string divergence_text(std::span<const Diverged> diverged);

// What is said of a trial at its end: of the preset "notebook" the notebook's printed block, of others one line.
std::string ending_text(std::string_view preset, const TrialResult& trial);

}  // namespace retort::search
