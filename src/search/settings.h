// Every number that shapes a search, with the notebook's value as its default, and the presets.
#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "base/json_fwd.h"
#include "base/work_clock.h"
#include "compress/distillation.h"
#include "compress/pruning.h"
#include "cost/target.h"
#include "data/curriculum.h"
#include "data/dataset.h"
#include "data/views.h"
#include "engine/network.h"
#include "engine/schedule.h"
#include "engine/trainer.h"
#include "graph/graph.h"
#include "int8/lower.h"
#include "search/micro_space.h"

namespace retort::search {

// Which weights quantisation-aware training hands on: those of its last epoch, or those of the epoch with the
// best validation accuracy, the accuracy that candidates are ranked by anyway. The notebook hands on the last
// epoch's; best is the default of every preset all the same, the one deliberate difference.
enum class KeepEpoch { Last, Best };

// Validations of a training stage (engine::TrainOptions) that neither stops early nor keeps its best epoch: for its curve.
// The notebook's stages have no more epochs than that, so that each of theirs is validated as there.
inline constexpr int kStageValidations = 20;

// What the stages of pipeline.h need. A stage that has run to its end has seen `epochs` times the training
// part.
struct PipelineSettings {
  std::vector<std::string> stages = {"quick", "gate", "distill", "prune", "quantize", "export"};
  int batch_size = 32;
  engine::Schedule schedule;  // of each stage; the optimiser starts anew in each
  engine::OptimizerOptions optimizer;
  data::ViewOptions views;
  engine::Precision precision = engine::Precision::Float32;  // of the teacher too

  int quick_epochs = 5;
  int quick_patience = 2;
  double gate = 0.6;  // a candidate whose quick accuracy is not above it is skipped; 0 or less lets all pass

  int distill_epochs = 10;
  float alpha = 0.1F;
  float temperature = 3;
  compress::Curriculum curriculum = compress::Curriculum::None;
  data::Pacing pacing;  // of a curriculum

  int channels_epochs =
      10;  // of the wide network, before its channels are removed; it is taught as distillation is
  double wider = 1.25;  // its convolutions' widths, as a multiple of the structure's

  int prune_epochs = 1;
  float prune_alpha = 1;  // below 1 pruning distils too, at `temperature`
  compress::PruningOptions pruning;

  int qat_epochs = 5;
  double qat_rate = 1;  // quantisation-aware training's highest learning rate, as a share of the schedule's
  KeepEpoch qat_keep = KeepEpoch::Best;
  float qat_alpha = 1;  // below 1 quantisation-aware training distils too, at `temperature`
  float range_momentum = graph::FakeQuant{}.momentum;  // of the activations' moving ranges

  int8::Ends ends = int8::Ends::Float;
};

// Of flash and RAM: all that the target's runtime takes for the model (cost::Footprint), not the file or the
// arena alone.
struct Limits {
  std::optional<int64_t> flash_bytes = std::nullopt;
  std::optional<int64_t> ram_bytes = std::nullopt;
  std::optional<int64_t> macs = std::nullopt;
  std::optional<double> latency_seconds = std::nullopt;  // as estimated for the target's board
};

// What validate() and the program's options accept.
inline constexpr int kMostEpochs = 100'000;
inline constexpr int kLargestBatch = 65'536;
inline constexpr double kHighestLearningRate = 10;

enum class TeacherKind { Train, Model, Logits, None };

struct TeacherSettings {
  TeacherKind kind = TeacherKind::Train;
  std::string path;    // of Model (a weights file) and Logits (an .npy file)
  std::string config;  // of Train: graph::graph_from_config reads it; empty: the notebook's teacher
  int epochs = 20;
  int batch_size = 32;
  engine::Schedule schedule;
  engine::OptimizerOptions optimizer;
};

// The structures of a grid: every combination. Those without dense layers are one network for all units.
struct Space {
  std::vector<int> blocks = {1, 2, 3};
  std::vector<int> layers = {1, 2};  // convs a block
  std::vector<int> filters = {16, 32, 64};
  std::vector<int> dense_layers = {0, 1, 2};
  std::vector<int> dense_units = {64, 128, 256, 512};
  bool operator==(const Space&) const = default;
};

// A search that explores first: generation after generation of structures that are each trained a little; the
// best of them are the candidates that go through the whole pipeline.
enum class Start {
  Parent,  // a child begins with its parent's weights
  Grow,  // with them where it has as many or more: what is narrower begins anew instead of being a pruned parent
  Fresh  // with new ones
};
std::string_view to_string(Start start);   // "parent", "grow", "fresh"
Start parse_start(std::string_view name);  // Error(Usage) for another
// A timed search has as much of all this as its time has room for (exploration_plan.h).
struct Exploration {
  int epochs = 0;       // of a structure; 0: no exploration, all structures are candidates
  int first = 12;       // structures of the first generation
  int generation = 8;   // of each later one
  int population = 32;  // the youngest so many can be parents by age
  int tournament = 5;   // of so many the best one is the parent
  Start start = Start::Parent;
  // The best explored ones are trained again on equal terms, from fresh weights, before some of them become
  // candidates: an exploration favours what learns quickly, and what has a long line of parents.
  int heats = 8;         // so many of them; 0: none, the exploration decides
  int heat_epochs = 10;  // of each
  int rungs = 2;  // heats after heats: the better half of them, with twice the epochs (successive halving)
  // After the heats the best structure is trained by so many recipes (recipe.h), the settings' own among them, and
  // all candidates by the best of them; 0: by the settings' own.
  int recipes = 0;
  std::vector<std::string> vary = {"distill", "channels", "prune", "quantize"};  // the stages that they vary
  int candidates = 4;   // that go through the whole pipeline
  double share = 0.35;  // of a timed search's time, the teacher's apart
};

struct SearchSettings {
  std::string preset = "notebook";
  uint64_t seed = 42;
  data::SplitOptions
      split;  // its own seed, also 42, so that another search seed keeps the same validation images
  PipelineSettings pipeline;
  TeacherSettings teacher;
  Limits limits;
  cost::Target target;
  std::string sampler = "grid";  // a name of sampler_names()
  Space space;                   // for samplers "grid" and "ladder"
  MicroSpace micro_space;        // for samplers "micro" and "evolution"
  Exploration exploration;
  std::vector<std::string> configs;  // for sampler "list"
  std::optional<int> trials;         // at most so many candidates; with an exploration, structures explored
  std::optional<double> seconds;     // the time that planning aims at; none: the epochs as given
  WorkTime clock = WorkTime::Wall;   // what that counts, and all times of results
  int top = 5;
  int finalist_seeds = 3;  // runs of each of the top, the search's own included
};

// "notebook": the notebook's whole grid and numbers with the entropy curriculum. "quick": at most a dozen of
// its structures and a teacher, epochs scaled to `seconds` (8 minutes) from measured speed. "micro": evolution
// explores networks of graph/micro.h for `seconds` (12 minutes). Error(Usage) for other names.
SearchSettings preset(std::string_view name);
std::vector<std::string> preset_names();

// "train", "none", "logits:FILE.npy", or the name of a weights file.
TeacherSettings parse_teacher(std::string_view text, const TeacherSettings& defaults);
std::string to_string(const TeacherSettings& teacher);

// Throws Error(Usage) naming the first field that makes no sense, its value and what would be right.
void validate(const SearchSettings& settings);
void validate(const PipelineSettings& settings);

void to_json(Json& json, const PipelineSettings& settings);
void from_json(const Json& json, PipelineSettings& settings);
void to_json(Json& json, const Exploration& exploration);
void from_json(const Json& json, Exploration& exploration);
void to_json(Json& json, const SearchSettings& settings);
void from_json(const Json& json, SearchSettings& settings);

}  // namespace retort::search
