#include "search/results.h"

#include <fmt/format.h>

#include <algorithm>
#include <array>
#include <cmath>
#include <functional>
#include <iterator>
#include <utility>

#include "base/error.h"
#include "base/json.h"
#include "base/units.h"
#include "base/work_clock.h"
#include "search/explored.h"
#include "search/json_costs.h"
#include "search/json_numbers.h"

namespace retort::search {
namespace {

constexpr std::array<std::pair<Outcome, const char*>, 4> kOutcomes = {{{Outcome::Complete, "complete"},
                                                                       {Outcome::Skipped, "skipped"},
                                                                       {Outcome::Infeasible, "infeasible"},
                                                                       {Outcome::Failed, "failed"}}};

constexpr std::array<std::pair<Effort, std::string_view>, 4> kEfforts = {{{Effort::Full, "full"},
                                                                          {Effort::Recipe, "recipe"},
                                                                          {Effort::Heat, "heat"},
                                                                          {Effort::Explore, "explore"}}};

Json history_to_json(const engine::History& history) {
  Json epochs = Json::array();
  for (const engine::EpochResult& epoch : history.epochs)
    epochs.push_back({{"epoch", epoch.epoch},
                      {"train_loss", number_to_json(epoch.train_loss)},
                      {"train_accuracy", number_to_json(epoch.train_accuracy)},
                      {"validation_loss", number_to_json(epoch.validation_loss)},
                      {"validation_accuracy", number_to_json(epoch.validation_accuracy)},
                      {"seconds", number_to_json(epoch.seconds)}});
  return {{"epochs", std::move(epochs)}, {"steps", history.steps}, {"seconds", history.seconds}};
}

// Whoever wrote the study's database chose the name; "" is none.
std::string file_from_json(const Json& value) {
  const auto name = value.get<std::string>();
  const std::filesystem::path file = name;
  if (!is_plain_file(name) || file.is_absolute() || std::ranges::find(file, "..") != file.end())
    throw_failure("a stored trial's file is {}, which is not in the study's folder", name);
  return name;
}

engine::History history_from_json(const Json& value) {
  engine::History history;
  for (const Json& epoch : value.value("epochs", Json::array()))
    history.epochs.push_back({.epoch = epoch.at("epoch"),
                              .train_loss = number_from_json(epoch.at("train_loss")),
                              .train_accuracy = number_from_json(epoch.at("train_accuracy")),
                              .validation_loss = number_from_json(epoch.at("validation_loss")),
                              .validation_accuracy = number_from_json(epoch.at("validation_accuracy")),
                              .seconds = number_from_json(epoch.at("seconds"))});
  history.steps = value.at("steps");
  history.seconds = value.at("seconds");
  return history;
}

}  // namespace

bool is_plain_file(std::string_view name) {
  return std::ranges::all_of(name, [](char c) {
    return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9') || c == '-' ||
           c == '_' || c == '.' || c == '/';
  });
}

std::string_view to_string(Outcome outcome) {
  return std::ranges::find(kOutcomes, outcome, &std::pair<Outcome, const char*>::first)->second;
}

std::string_view to_string(Effort effort) {
  return std::ranges::find(kEfforts, effort, &std::pair<Effort, std::string_view>::first)->second;
}

Effort parse_effort(std::string_view name) {
  const auto found = std::ranges::find(kEfforts, name, &std::pair<Effort, std::string_view>::second);
  if (found == kEfforts.end()) throw_failure("a stored trial has the unknown effort '{}'", name);
  return found->first;
}

void to_json(Json& out, const StageResult& stage) {
  Json layers = Json::array();
  for (const compress::LayerSparsity& layer : stage.layers)
    layers.push_back({{"node", layer.node},
                      {"name", layer.name},
                      {"weights", layer.weights},
                      {"sparsity", layer.sparsity}});
  out = {{"name", stage.name},
         {"epochs", stage.epochs},
         {"trained", stage.trained},
         {"history", history_to_json(stage.history)},
         {"validation_accuracy", number_to_json(stage.validation_accuracy)},
         {"sparsity", stage.sparsity},
         {"layers", std::move(layers)},
         {"seconds", stage.seconds}};
}

void from_json(const Json& in, StageResult& stage) {
  stage = {.name = in.at("name"),
           .epochs = in.at("epochs"),
           .trained = 0,
           .history = history_from_json(in.at("history")),
           .validation_accuracy = number_from_json(in.at("validation_accuracy")),
           .sparsity = in.at("sparsity"),
           .layers = {},
           .seconds = in.at("seconds")};
  stage.trained = in.value("trained", static_cast<int>(stage.history.epochs.size()));
  for (const Json& layer : in.value("layers", Json::array()))
    stage.layers.push_back({.node = layer.at("node"),
                            .name = layer.at("name"),
                            .weights = size_from_json(layer.at("weights")),
                            .sparsity = layer.at("sparsity")});
}

void to_json(Json& out, const Diverged& diverged) {
  out = {{"stage", diverged.stage}, {"what", diverged.what}};
}

void from_json(const Json& in, Diverged& diverged) {
  diverged = {.stage = in.at("stage"), .what = in.at("what")};
}

void to_json(Json& out, const TrialResult& trial) {
  out = {{"number", trial.number},
         {"config", trial.config},
         {"layers", trial.layers},
         {"hash", trial.hash},
         {"seed", trial.seed},
         {"effort", to_string(trial.effort)},
         {"parent", trial.parent},
         {"outcome", to_string(trial.outcome)},
         {"reason", trial.reason},
         {"recipe", trial.recipe ? Json(*trial.recipe) : Json()},
         {"stages", trial.stages},
         {"diverged", trial.diverged},
         {"quick_accuracy", number_to_json(trial.quick_accuracy)},
         {"accuracy_float", number_to_json(trial.accuracy_float)},
         {"accuracy_int8", number_to_json(trial.accuracy_int8)},
         {"parameters", trial.parameters},
         {"macs", trial.macs},
         {"flash_bytes", trial.flash_bytes},
         {"arena_bytes", {{"cortex-m4", trial.arena_bytes_cortex_m4}, {"host", trial.arena_bytes_host}}},
         {"footprint", trial.footprint},
         {"latency", latency_to_json(trial.latency)},
         {"sparsity", trial.sparsity},
         {"file", trial.file},
         {"seconds", trial.seconds}};
  if (trial.refused_memory_bytes > 0) out["refused_memory_bytes"] = trial.refused_memory_bytes;
}

void from_json(const Json& in, TrialResult& trial) {
  const auto name = in.at("outcome").get<std::string>();
  const auto outcome = std::ranges::find(kOutcomes, name, [](const auto& entry) { return entry.second; });
  if (outcome == kOutcomes.end()) throw_failure("a stored trial has the unknown outcome '{}'", name);
  trial = {.number = in.at("number"),
           .config = in.at("config"),
           .layers = in.at("layers"),
           .hash = in.at("hash"),
           .seed = in.at("seed"),
           .effort = parse_effort(in.value("effort", "full")),
           .parent = in.value("parent", -1),
           .outcome = outcome->first,
           .reason = in.at("reason"),
           .stages = in.at("stages"),
           .diverged = in.value("diverged", std::vector<Diverged>()),
           .refused_memory_bytes = size_from_json(in.value("refused_memory_bytes", Json(0))),
           .quick_accuracy = number_from_json(in.at("quick_accuracy")),
           .accuracy_float = number_from_json(in.at("accuracy_float")),
           .accuracy_int8 = number_from_json(in.at("accuracy_int8")),
           .parameters = size_from_json(in.at("parameters")),
           .macs = size_from_json(in.at("macs")),
           .flash_bytes = size_from_json(in.at("flash_bytes")),
           .arena_bytes_cortex_m4 = size_from_json(in.at("arena_bytes").at("cortex-m4")),
           .arena_bytes_host = size_from_json(in.at("arena_bytes").at("host")),
           .footprint = in.value("footprint", cost::Footprint{}),
           .latency = latency_from_json(in),
           .sparsity = in.at("sparsity"),
           .file = file_from_json(in.at("file")),
           .seconds = in.at("seconds")};
  if (const Json recipe = in.value("recipe", Json()); !recipe.is_null()) trial.recipe = recipe.get<Recipe>();
  // They are ranked by it, and an order needs numbers.
  if (trial.outcome == Outcome::Complete && std::isnan(trial.accuracy_int8))
    throw_failure("the stored trial {} is complete and has no accuracy", trial.number);
}

void to_json(Json& out, const FinalistRun& run) {
  out = {{"seed", run.seed},
         {"validation_accuracy", number_to_json(run.validation_accuracy)},
         {"test_accuracy", number_to_json(run.test_accuracy)},
         {"file", run.file},
         {"accuracy_float", number_to_json(run.accuracy_float)},
         {"sparsity", run.sparsity}};
}

void from_json(const Json& in, FinalistRun& run) {
  run = {.seed = in.at("seed"),
         .validation_accuracy = number_from_json(in.at("validation_accuracy")),
         .test_accuracy = number_from_json(in.at("test_accuracy")),
         .file = file_from_json(in.at("file")),
         .accuracy_float = number_from_json(in.at("accuracy_float")),
         .sparsity = in.at("sparsity")};
}

void to_json(Json& out, const Finalist& finalist) {
  out = {{"trial", finalist.trial},
         {"runs", finalist.runs},
         {"validation_mean", number_to_json(finalist.validation_mean)},
         {"validation_spread", number_to_json(finalist.validation_spread)},
         {"test_mean", number_to_json(finalist.test_mean)},
         {"test_spread", number_to_json(finalist.test_spread)},
         {"best_run", finalist.best_run}};
}

void from_json(const Json& in, Finalist& finalist) {
  finalist = {.trial = in.at("trial"),
              .runs = in.at("runs"),
              .validation_mean = number_from_json(in.value("validation_mean", Json())),
              .validation_spread = number_from_json(in.value("validation_spread", Json(0.0))),
              .test_mean = number_from_json(in.at("test_mean")),
              .test_spread = number_from_json(in.at("test_spread")),
              .best_run = in.at("best_run")};
  if (finalist.best_run < 0 || static_cast<size_t>(finalist.best_run) >= finalist.runs.size())
    throw_failure("a stored finalist's best run is number {} of {}", finalist.best_run, finalist.runs.size());
}

void to_json(Json& out, const TeacherResult& teacher) {
  out = {{"source", teacher.source},
         {"history", history_to_json(teacher.history)},
         {"validation_accuracy", number_to_json(teacher.validation_accuracy)},
         {"test_accuracy", number_to_json(teacher.test_accuracy)},
         {"threads", teacher.threads},
         {"logits_seconds", teacher.logits_seconds},
         {"seconds", teacher.seconds},
         {"diverged", teacher.diverged}};
}

void from_json(const Json& in, TeacherResult& teacher) {
  teacher = {.source = in.at("source"),
             .history = history_from_json(in.at("history")),
             .validation_accuracy = number_from_json(in.at("validation_accuracy")),
             .test_accuracy = number_from_json(in.at("test_accuracy")),
             .threads = in.value("threads", 0),
             .logits_seconds = in.at("logits_seconds"),
             .seconds = in.at("seconds"),
             .diverged = in.value("diverged", std::vector<Diverged>())};
}

void to_json(Json& out, const StudyResult& study) {
  out = {{"data", study.data_spec},
         {"content_hash", study.content_hash},
         {"classes", study.classes},
         {"range", {{"low", study.range.low}, {"high", study.range.high}}},
         {"train_images", study.train_images},
         {"validation_images", study.validation_images},
         {"test_images", study.test_images},
         {"preset", study.preset},
         {"settings", study.settings_json.empty() ? Json() : parse_json(study.settings_json)},
         {"plan", study.plan_json.empty() ? Json() : parse_json(study.plan_json)},
         {"command", study.command},
         {"teacher", study.teacher},
         {"trials", study.trials},
         {"left_out", study.left_out},
         {"top", study.top},
         {"finalists", study.finalists},
         {"best", study.best},
         {"seconds", study.seconds}};
}

void from_json(const Json& in, StudyResult& study) {
  study = {.data_spec = in.at("data"),
           .content_hash = in.at("content_hash"),
           .classes = in.at("classes"),
           .range = {.low = in.at("range").at("low"), .high = in.at("range").at("high")},
           .train_images = size_from_json(in.at("train_images")),
           .validation_images = size_from_json(in.at("validation_images")),
           .test_images = size_from_json(in.at("test_images")),
           .preset = in.at("preset"),
           .settings_json = in.at("settings").is_null() ? std::string() : dump_json(in.at("settings")),
           .plan_json = in.at("plan").is_null() ? std::string() : dump_json(in.at("plan")),
           .command = in.at("command"),
           .teacher = in.at("teacher"),
           .trials = in.at("trials"),
           .left_out = in.value("left_out", 0),
           .top = in.at("top"),
           .finalists = in.at("finalists"),
           .best = in.at("best"),
           .seconds = in.at("seconds")};
}

const TrialResult* find_trial(const StudyResult& study, int number) {
  const auto found = std::ranges::lower_bound(study.trials, number, {}, &TrialResult::number);
  return found == study.trials.end() || found->number != number ? nullptr : &*found;
}

bool shows_epochs(const StudyResult& study, const TrialResult& trial) {
  return trial.number < kTrialsShown || std::ranges::find(study.top, trial.number) != study.top.end();
}

const Finalist* find_finalist(const StudyResult& study, int trial) {
  const auto found = std::ranges::find(study.finalists, trial, &Finalist::trial);
  return found == study.finalists.end() ? nullptr : &*found;
}

BestModel best_model(const StudyResult& study) {
  const TrialResult* trial = find_trial(study, study.best);
  const Finalist* finalist = find_finalist(study, study.best);
  if (trial == nullptr || finalist == nullptr) return {};
  return {trial, finalist, &finalist->runs.at(static_cast<size_t>(finalist->best_run))};
}

std::vector<int> rank_trials(const std::vector<TrialResult>& trials, int count) {
  std::vector<const TrialResult*> complete;
  for (const TrialResult& trial : trials)
    if (trial.outcome == Outcome::Complete) complete.push_back(&trial);
  const auto wanted = std::min(complete.size(), static_cast<size_t>(std::max(count, 0)));
  const auto better = [](const TrialResult* a, const TrialResult* b) {
    if (a->effort != b->effort) return a->effort < b->effort;
    if (a->accuracy_int8 != b->accuracy_int8) return a->accuracy_int8 > b->accuracy_int8;
    if (a->flash_bytes != b->flash_bytes) return a->flash_bytes < b->flash_bytes;
    return a->number < b->number;
  };
  // After each trial, of however many: only those at the top are put in order.
  std::ranges::partial_sort(complete, complete.begin() + static_cast<std::ptrdiff_t>(wanted), better);
  std::vector<int> numbers;
  for (size_t i = 0; i < wanted; ++i) numbers.push_back(complete[i]->number);
  return numbers;
}

std::vector<int> pareto_front(const std::vector<TrialResult>& trials) {
  struct Point {
    std::array<double, 4> costs;
    int number;
  };
  std::vector<Point> points;
  for (const TrialResult& trial : trials)
    if (trial.outcome == Outcome::Complete)
      points.push_back({{-trial.accuracy_int8, static_cast<double>(trial.footprint.flash_bytes()),
                         static_cast<double>(trial.footprint.ram_bytes()), static_cast<double>(trial.macs)},
                        trial.number});
  // Whoever beats a point stands before it in this order, and so does one of the front that beats it: a study may have
  // 100,000 points, and its front few.
  std::ranges::sort(points, [](const Point& a, const Point& b) {
    return a.costs == b.costs ? a.number < b.number : std::ranges::lexicographical_compare(a.costs, b.costs);
  });
  const auto is_no_worse = [](const Point& a, const Point& b) {
    return std::ranges::equal(a.costs, b.costs, std::less_equal<>());
  };
  std::vector<Point> front;
  for (const Point& point : points)
    if (std::ranges::none_of(front, [&](const Point& other) { return is_no_worse(other, point); }))
      front.push_back(point);
  std::ranges::sort(front, {}, [](const Point& point) { return std::pair{point.costs[0], point.number}; });
  std::vector<int> numbers;
  for (const Point& point : front) numbers.push_back(point.number);
  return numbers;
}

std::string epochs_text(const TrialResult& trial) {
  std::string text;
  for (const StageResult& stage : trial.stages)
    text += fmt::format("{}{} {}", text.empty() ? "" : ", ", stage.name, stage.trained);
  return text;
}

std::string time_text(const StudyResult& study) {
  std::string text = format_duration(study.seconds);
  if (!study.settings_json.empty() &&
      parse_json(study.settings_json).value("clock", "wall") == to_string(WorkTime::Cpu))
    text += " of processor time a core";
  return text;
}

std::string divergence_text(std::span<const Diverged> diverged) {
  if (diverged.empty()) return {};
  const Diverged& first = diverged.front();
  return fmt::format("diverged in {} ({}), which began anew with {} of the learning rate", first.stage,
                     first.what, kRateAfterDivergence);
}

namespace {

std::string notebook_block(const TrialResult& trial) {
  std::string out = fmt::format("Configuration: {}\n", trial.layers.empty() ? trial.config : trial.layers);
  const auto add = [&out]<typename... Args>(fmt::format_string<Args...> format, Args&&... args) {
    fmt::format_to(std::back_inserter(out), format, std::forward<Args>(args)...);
  };
  switch (trial.outcome) {
    case Outcome::Complete:
      if (std::isfinite(trial.quick_accuracy)) add("Quick Accuracy: {:.4f}\n", trial.quick_accuracy);
      add("Final Accuracy: {:.4f} (int8, validation)\n", trial.accuracy_int8);
      add("Model size: {:.2f} MB ({} bytes of flash, {} of arena)\n",
          static_cast<double>(trial.flash_bytes) / (1024.0 * 1024.0), format_integer(trial.flash_bytes),
          format_integer(trial.arena_bytes_cortex_m4));
      add("Number of parameters: {} ({:.0f}% zeros, {} multiply-accumulates)\n", trial.parameters,
          trial.sparsity * 100, format_count(trial.macs));
      add("Epochs: {}\n", epochs_text(trial));
      if (!trial.diverged.empty()) add("It {}\n", divergence_text(trial.diverged));
      break;
    case Outcome::Skipped:
      add("Quick Accuracy: {:.4f} - Skipped\n", trial.quick_accuracy);
      break;
    case Outcome::Infeasible:
      add("Infeasible: {}\n", trial.reason);
      break;
    case Outcome::Failed:
      add("Failed: {}\n", trial.reason);
      break;
  }
  return out + "--------------------";
}

}  // namespace

std::string ending_text(std::string_view preset, const TrialResult& trial) {
  return preset == "notebook" ? notebook_block(trial) : line(trial);
}

}  // namespace retort::search
