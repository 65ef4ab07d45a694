#include "search/settings.h"

#include <algorithm>
#include <array>
#include <cmath>
#include <iterator>
#include <tuple>
#include <utility>

#include "base/error.h"
#include "base/json.h"
#include "search/pipeline.h"
#include "search/recipe.h"
#include "search/sampler.h"

namespace retort::search {
namespace {

Json schedule_to_json(const engine::Schedule& schedule) {
  return {{"kind", engine::to_string(schedule.kind)}, {"peak", schedule.peak}};
}

engine::Schedule schedule_from_json(const Json& in) {
  return {.kind = engine::parse_schedule(in.at("kind").get<std::string>()), .peak = in.at("peak")};
}

Json optimizer_to_json(const engine::OptimizerOptions& optimizer) {
  return {{"kind", optimizer.kind == engine::OptimizerKind::Sgd ? "sgd" : "adam"},
          {"momentum", optimizer.momentum},
          {"weight_decay", optimizer.weight_decay},
          {"beta1", optimizer.beta1},
          {"beta2", optimizer.beta2},
          {"epsilon", optimizer.epsilon}};
}

engine::OptimizerOptions optimizer_from_json(const Json& in) {
  engine::OptimizerOptions optimizer;
  optimizer.kind = in.at("kind") == "sgd" ? engine::OptimizerKind::Sgd : engine::OptimizerKind::Adam;
  optimizer.momentum = in.at("momentum");
  optimizer.weight_decay = in.at("weight_decay");
  optimizer.beta1 = in.at("beta1");
  optimizer.beta2 = in.at("beta2");
  optimizer.epsilon = in.at("epsilon");
  return optimizer;
}

template <typename T>
Json optional_to_json(const std::optional<T>& value) {
  return value ? Json(*value) : Json(nullptr);
}

template <typename T>
std::optional<T> optional_from_json(const Json& in) {
  return in.is_null() ? std::nullopt : std::optional<T>(in.get<T>());
}

constexpr std::array<std::pair<TeacherKind, std::string_view>, 4> kTeacherKinds = {
    {{TeacherKind::Train, "train"},
     {TeacherKind::Model, "model"},
     {TeacherKind::Logits, "logits"},
     {TeacherKind::None, "none"}}};

TeacherKind teacher_kind(std::string_view name) {
  const auto found =
      std::ranges::find(kTeacherKinds, name, &std::pair<TeacherKind, std::string_view>::second);
  if (found == kTeacherKinds.end()) throw_usage("unknown kind of teacher '{}'", name);
  return found->first;
}

std::string_view teacher_kind_name(TeacherKind kind) {
  return std::ranges::find(kTeacherKinds, kind, &std::pair<TeacherKind, std::string_view>::first)->second;
}

// Throws for a number outside [minimum, maximum]; NaN is outside.
void check(std::string_view field, double value, double minimum, double maximum) {
  if (!(value >= minimum && value <= maximum))
    throw_usage("{} is {}, but must be from {} to {}", field, value, minimum, maximum);
}

void check_schedule(std::string_view field, const engine::Schedule& schedule) {
  if (!(schedule.peak > 0 && schedule.peak <= kHighestLearningRate))
    throw_usage("{} is {}, but must be above 0 and at most {}", field, schedule.peak, kHighestLearningRate);
}

void check_optimizer(std::string_view whose, const engine::OptimizerOptions& optimizer) {
  constexpr double kBelowOne = 0.999999;
  const auto field = [whose](std::string_view name) { return fmt::format("{} {}", whose, name); };
  check(field("momentum"), optimizer.momentum, 0, kBelowOne);
  check(field("weight decay"), optimizer.weight_decay, 0, 1);
  check(field("beta1"), optimizer.beta1, 0, kBelowOne);
  check(field("beta2"), optimizer.beta2, 0, kBelowOne);
  check(field("epsilon"), optimizer.epsilon, 1e-12, 1);
}

void check_space(const Space& space) {
  double count = 1;
  for (const auto& [name, values, least, most] :
       {std::tuple{"blocks", &space.blocks, 1, 16}, std::tuple{"layers a block", &space.layers, 1, 100},
        std::tuple{"filters", &space.filters, 1, graph::kMaximumDimension},
        std::tuple{"dense layers", &space.dense_layers, 0, 100},
        std::tuple{"units", &space.dense_units, 1, graph::kMaximumDimension}}) {
    if (values->empty()) throw_usage("the space has no {}: list at least one number of them", name);
    for (const int value : *values) check(fmt::format("the space's number of {}", name), value, least, most);
    count *= static_cast<double>(values->size());
  }
  constexpr double kMostStructures = 100'000;
  if (count > kMostStructures)
    throw_usage("the space has {:.0f} structures, but at most {:.0f} are tried", count, kMostStructures);
}

void check_exploration(const SearchSettings& settings) {
  const Exploration& exploration = settings.exploration;
  constexpr int kMostStructures = 1'000'000;
  check("the number of epochs of exploration", exploration.epochs, 0, kMostEpochs);
  check("the number of structures of the first generation", exploration.first, 1, kMostStructures);
  check("the number of structures of a generation", exploration.generation, 1, kMostStructures);
  check("the size of the population", exploration.population, 1, kMostStructures);
  check("the size of the tournament", exploration.tournament, 1, kMostStructures);
  check("the number of heats", exploration.heats, 0, 1000);
  check("the number of epochs of a heat", exploration.heat_epochs, 1, kMostEpochs);
  check("the number of rungs", exploration.rungs, 1, 10);
  check("the number of recipes", exploration.recipes, 0, 1000);
  if (exploration.recipes == 1)
    throw_usage("one recipe has nothing to be compared with: write 0 for none, or at least 2");
  for (const std::string& name : exploration.vary)
    if (std::ranges::find(kRecipeStages, name) == kRecipeStages.end())
      throw_usage("a recipe varies no stage '{}': known are {}", name, fmt::join(kRecipeStages, ", "));
  check("the number of candidates", exploration.candidates, 1, 1000);
  check("exploration's share of the time", exploration.share, 0.01, 0.95);
  if (settings.sampler != "evolution") return;
  if (exploration.epochs == 0)
    throw_usage("the sampler 'evolution' learns from an exploration: give that at least one epoch");
  if (!settings.seconds && !settings.trials)
    throw_usage("the sampler 'evolution' never ends by itself: give a time or a number of trials");
}

}  // namespace

TeacherSettings parse_teacher(std::string_view text, const TeacherSettings& defaults) {
  TeacherSettings teacher = defaults;
  teacher.path.clear();
  constexpr std::string_view kLogits = "logits:";
  if (text == "train") {
    teacher.kind = TeacherKind::Train;
  } else if (text == "none") {
    teacher.kind = TeacherKind::None;
  } else if (text.starts_with(kLogits)) {
    teacher.kind = TeacherKind::Logits;
    teacher.path = text.substr(kLogits.size());
    if (teacher.path.empty()) throw_usage("'logits:' lacks its file: write logits:FILE.npy");
  } else if (!text.empty()) {
    teacher.kind = TeacherKind::Model;
    teacher.path = text;
  } else {
    throw_usage("a teacher is 'train', 'none', 'logits:FILE.npy' or a weights file, not an empty text");
  }
  return teacher;
}

std::string to_string(const TeacherSettings& teacher) {
  switch (teacher.kind) {
    case TeacherKind::Train:
      return "train";
    case TeacherKind::None:
      return "none";
    case TeacherKind::Logits:
      return "logits:" + teacher.path;
    case TeacherKind::Model:
      return teacher.path;
  }
  return {};
}

void validate(const PipelineSettings& settings) {
  if (settings.stages.empty())
    throw_usage("a pipeline needs at least one stage of {}", fmt::join(stage_names(), ", "));
  for (auto name = settings.stages.begin(); name != settings.stages.end(); ++name) {
    static_cast<void>(stage(*name));
    if (std::find(settings.stages.begin(), name, *name) != name)
      throw_usage("the stage '{}' is listed twice", *name);
  }
  if (settings.stages.front() == "gate") throw_usage("the stage 'gate' needs a training stage before it");
  check("the batch size", settings.batch_size, 1, kLargestBatch);
  check_schedule("the learning rate", settings.schedule);
  check_optimizer("the optimiser's", settings.optimizer);
  static_cast<void>(data::view_count(settings.views));
  check("the number of quick epochs", settings.quick_epochs, 1, kMostEpochs);
  check("the patience", settings.quick_patience, 1, kMostEpochs);
  check("the gate", settings.gate, 0, 1);
  check("the number of distillation epochs", settings.distill_epochs, 1, kMostEpochs);
  check("alpha", settings.alpha, 0, 1);
  check("the temperature", settings.temperature, 0.01, 1000);
  check("the curriculum's first share", settings.pacing.first_share, 0, 1);
  check("the end of the curriculum's growth", settings.pacing.full_after, 0, 1);
  check("the number of epochs before channels are removed", settings.channels_epochs, 1, kMostEpochs);
  check("the width of the network whose channels are removed", settings.wider, 1.01, kWidest);
  check("the number of pruning epochs", settings.prune_epochs, 1, kMostEpochs);
  check("the alpha of pruning", settings.prune_alpha, 0, 1);
  check("the initial sparsity", settings.pruning.initial_sparsity, 0, 1);
  check("the final sparsity", settings.pruning.final_sparsity, 0, 1);
  if (settings.pruning.final_sparsity < settings.pruning.initial_sparsity)
    throw_usage("the final sparsity is {}, but must be at least the initial one, which is {}: lower that too",
                settings.pruning.final_sparsity, settings.pruning.initial_sparsity);
  check("the power of the pruning schedule", settings.pruning.power, 0, 100);
  check("the number of steps between mask updates", settings.pruning.update_every, 1, 1e9);
  check("the share of pruning after which masks are fixed", settings.pruning.end_fraction, 0, 1);
  check("the number of epochs of quantisation-aware training", settings.qat_epochs, 1, kMostEpochs);
  check("the learning rate's share in quantisation-aware training", settings.qat_rate, 1e-6, 1);
  check("the alpha of quantisation-aware training", settings.qat_alpha, 0, 1);
  check("the momentum of the ranges", settings.range_momentum, 0, 0.999999);
}

void validate(const SearchSettings& settings) {
  validate(settings.pipeline);
  if (settings.pipeline.stages.back() != "export") throw_usage("a search's last stage must be 'export'");
  check("the validation fraction", settings.split.validation_fraction, 0.001, 0.9);
  check("the test fraction", settings.split.test_fraction, 0.001, 0.9);
  if (const auto most = settings.split.most_validation_images; most && *most < 1)
    throw_usage("the bound of the validation images is {}, but must be above 0", *most);
  check("the number of teacher epochs", settings.teacher.epochs, 1, kMostEpochs);
  check("the teacher's batch size", settings.teacher.batch_size, 1, kLargestBatch);
  check_schedule("the teacher's learning rate", settings.teacher.schedule);
  check_optimizer("the teacher's", settings.teacher.optimizer);
  check("the number of top models", settings.top, 1, 1000);
  check("the number of seeds of a finalist", settings.finalist_seeds, 1, 1000);
  if (settings.trials) check("the number of trials", *settings.trials, 1, 1e6);
  if (settings.seconds) check("the time in seconds", *settings.seconds, 1, 1e8);
  for (const auto& [name, limit] : {std::pair{"the flash limit", settings.limits.flash_bytes},
                                    std::pair{"the RAM limit", settings.limits.ram_bytes},
                                    std::pair{"the limit of multiply-accumulates", settings.limits.macs}})
    if (limit && *limit < 1) throw_usage("{} is {}, but must be above 0", name, *limit);
  if (settings.limits.latency_seconds) {
    check("the latency limit", *settings.limits.latency_seconds, 1e-9, 1e6);
    if (!settings.target.board) throw_usage("a limit of latency needs a board: give its name");
  }
  if (std::ranges::find(sampler_names(), settings.sampler) == sampler_names().end())
    throw_usage("unknown sampler '{}': known are {}", settings.sampler, fmt::join(sampler_names(), ", "));
  if (settings.sampler == "list" && settings.configs.empty())
    throw_usage("the sampler 'list' needs at least one configuration");
  check_space(settings.space);
  check_exploration(settings);
  if (settings.pipeline.curriculum == compress::Curriculum::Entropy &&
      settings.teacher.kind == TeacherKind::None)
    throw_usage("the curriculum 'entropy' needs a teacher: choose another, or 'random-pacing' or 'none'");
}

void to_json(Json& out, const PipelineSettings& settings) {
  out = {{"stages", settings.stages},
         {"batch_size", settings.batch_size},
         {"schedule", schedule_to_json(settings.schedule)},
         {"optimizer", optimizer_to_json(settings.optimizer)},
         {"views",
          {{"mirror", settings.views.mirror == data::Mirror::Horizontal},
           {"max_shift", settings.views.max_shift}}},
         {"quick_epochs", settings.quick_epochs},
         {"quick_patience", settings.quick_patience},
         {"gate", settings.gate},
         {"distill_epochs", settings.distill_epochs},
         {"alpha", settings.alpha},
         {"temperature", settings.temperature},
         {"curriculum", compress::to_string(settings.curriculum)},
         {"curriculum_first_share", settings.pacing.first_share},
         {"curriculum_full_after", settings.pacing.full_after},
         {"channels_epochs", settings.channels_epochs},
         {"wider", settings.wider},
         {"prune_epochs", settings.prune_epochs},
         {"prune_alpha", settings.prune_alpha},
         {"initial_sparsity", settings.pruning.initial_sparsity},
         {"final_sparsity", settings.pruning.final_sparsity},
         {"pruning_power", settings.pruning.power},
         {"pruning_update_every", settings.pruning.update_every},
         {"pruning_end_fraction", settings.pruning.end_fraction},
         {"qat_epochs", settings.qat_epochs},
         {"qat_rate", settings.qat_rate},
         {"qat_keep", settings.qat_keep == KeepEpoch::Best ? "best" : "last"},
         {"qat_alpha", settings.qat_alpha},
         {"range_momentum", settings.range_momentum},
         {"ends", settings.ends == int8::Ends::Int8 ? "int8" : "float"},
         {"precision", engine::to_string(settings.precision)}};
}

void from_json(const Json& in, PipelineSettings& settings) {
  settings = {.stages = in.at("stages"),
              .batch_size = in.at("batch_size"),
              .schedule = schedule_from_json(in.at("schedule")),
              .optimizer = optimizer_from_json(in.at("optimizer")),
              .views = {.mirror = in.at("views").at("mirror").get<bool>() ? data::Mirror::Horizontal
                                                                          : data::Mirror::None,
                        .max_shift = in.at("views").at("max_shift")},
              .precision = engine::parse_precision(in.value("precision", "float32")),
              .quick_epochs = in.at("quick_epochs"),
              .quick_patience = in.at("quick_patience"),
              .gate = in.at("gate"),
              .distill_epochs = in.at("distill_epochs"),
              .alpha = in.at("alpha"),
              .temperature = in.at("temperature"),
              .curriculum = compress::parse_curriculum(in.at("curriculum").get<std::string>()),
              .pacing = {.first_share = in.at("curriculum_first_share"),
                         .full_after = in.at("curriculum_full_after")},
              .channels_epochs = in.value("channels_epochs", PipelineSettings{}.channels_epochs),
              .wider = in.value("wider", PipelineSettings{}.wider),
              .prune_epochs = in.at("prune_epochs"),
              .prune_alpha = in.at("prune_alpha"),
              .pruning = {.initial_sparsity = in.at("initial_sparsity"),
                          .final_sparsity = in.at("final_sparsity"),
                          .power = in.at("pruning_power"),
                          .update_every = in.at("pruning_update_every"),
                          .end_fraction = in.at("pruning_end_fraction")},
              .qat_epochs = in.at("qat_epochs"),
              .qat_rate = in.value("qat_rate", 1.0),
              .qat_keep = in.at("qat_keep") == "best" ? KeepEpoch::Best : KeepEpoch::Last,
              .qat_alpha = in.at("qat_alpha"),
              .range_momentum = in.at("range_momentum"),
              .ends = in.at("ends") == "int8" ? int8::Ends::Int8 : int8::Ends::Float};
}

std::string_view to_string(Start start) {
  return start == Start::Parent ? "parent" : start == Start::Grow ? "grow" : "fresh";
}

Start parse_start(std::string_view name) {
  for (const Start start : {Start::Parent, Start::Grow, Start::Fresh})
    if (name == to_string(start)) return start;
  throw_usage("\"{}\" is unknown: write parent, grow or fresh", name);
}

void to_json(Json& out, const Exploration& exploration) {
  out = {{"epochs", exploration.epochs},
         {"first", exploration.first},
         {"generation", exploration.generation},
         {"population", exploration.population},
         {"tournament", exploration.tournament},
         {"start", to_string(exploration.start)},
         {"heats", exploration.heats},
         {"heat_epochs", exploration.heat_epochs},
         {"rungs", exploration.rungs},
         {"recipes", exploration.recipes},
         {"vary", exploration.vary},
         {"candidates", exploration.candidates},
         {"share", exploration.share}};
}

void from_json(const Json& in, Exploration& exploration) {
  exploration = {.epochs = in.at("epochs"),
                 .first = in.at("first"),
                 .generation = in.at("generation"),
                 .population = in.at("population"),
                 .tournament = in.at("tournament"),
                 .start = in.contains("start")           ? parse_start(in.at("start").get<std::string>())
                          : in.at("inherit").get<bool>() ? Start::Parent
                                                         : Start::Fresh,
                 .heats = in.at("heats"),
                 .heat_epochs = in.at("heat_epochs"),
                 .rungs = in.value("rungs", 1),
                 .recipes = in.value("recipes", 0),
                 .vary = in.value("vary", Exploration{}.vary),
                 .candidates = in.at("candidates"),
                 .share = in.at("share")};
}

void to_json(Json& out, const SearchSettings& settings) {
  out = {{"preset", settings.preset},
         {"seed", settings.seed},
         {"split", settings.split},
         {"pipeline", settings.pipeline},
         {"teacher",
          {{"kind", teacher_kind_name(settings.teacher.kind)},
           {"path", settings.teacher.path},
           {"config", settings.teacher.config},
           {"epochs", settings.teacher.epochs},
           {"batch_size", settings.teacher.batch_size},
           {"schedule", schedule_to_json(settings.teacher.schedule)},
           {"optimizer", optimizer_to_json(settings.teacher.optimizer)}}},
         {"limits",
          {{"flash_bytes", optional_to_json(settings.limits.flash_bytes)},
           {"ram_bytes", optional_to_json(settings.limits.ram_bytes)},
           {"macs", optional_to_json(settings.limits.macs)},
           {"latency_seconds", optional_to_json(settings.limits.latency_seconds)}}},
         {"runtime", cost::to_string(settings.target.runtime)},
         {"board", optional_to_json(settings.target.board)},
         {"sampler", settings.sampler},
         {"space",
          {{"blocks", settings.space.blocks},
           {"layers", settings.space.layers},
           {"filters", settings.space.filters},
           {"dense_layers", settings.space.dense_layers},
           {"dense_units", settings.space.dense_units}}},
         {"configs", settings.configs},
         {"micro_space", settings.micro_space},
         {"exploration", settings.exploration},
         {"trials", optional_to_json(settings.trials)},
         {"seconds", optional_to_json(settings.seconds)},
         {"clock", to_string(settings.clock)},
         {"top", settings.top},
         {"finalist_seeds", settings.finalist_seeds}};
}

void from_json(const Json& in, SearchSettings& settings) {
  const Json& teacher = in.at("teacher");
  const Json& limits = in.at("limits");
  const Json& space = in.at("space");
  settings = {.preset = in.at("preset"),
              .seed = in.at("seed"),
              .split = in.at("split"),
              .pipeline = in.at("pipeline"),
              .teacher = {.kind = teacher_kind(teacher.at("kind").get<std::string>()),
                          .path = teacher.at("path"),
                          .config = teacher.at("config"),
                          .epochs = teacher.at("epochs"),
                          .batch_size = teacher.at("batch_size"),
                          .schedule = schedule_from_json(teacher.at("schedule")),
                          .optimizer = optimizer_from_json(teacher.at("optimizer"))},
              .limits = {.flash_bytes = optional_from_json<int64_t>(limits.at("flash_bytes")),
                         .ram_bytes = optional_from_json<int64_t>(limits.at("ram_bytes")),
                         .macs = optional_from_json<int64_t>(limits.at("macs")),
                         .latency_seconds = optional_from_json<double>(limits.at("latency_seconds"))},
              .target = {.runtime = cost::parse_runtime(in.at("runtime").get<std::string>()),
                         .board = optional_from_json<cost::Board>(in.at("board"))},
              .sampler = in.at("sampler"),
              .space = {.blocks = space.at("blocks"),
                        .layers = space.at("layers"),
                        .filters = space.at("filters"),
                        .dense_layers = space.at("dense_layers"),
                        .dense_units = space.at("dense_units")},
              .micro_space = in.value("micro_space", MicroSpace{}),
              .exploration = in.value("exploration", Exploration{}),
              .configs = in.at("configs"),
              .trials = optional_from_json<int>(in.at("trials")),
              .seconds = optional_from_json<double>(in.at("seconds")),
              .clock = parse_work_time(in.value("clock", "wall")),
              .top = in.at("top"),
              .finalist_seeds = in.at("finalist_seeds")};
}

}  // namespace retort::search
