#include "search/stage_training.h"

#include <fmt/format.h>

#include <algorithm>
#include <cmath>
#include <utility>
#include <variant>

#include "base/error.h"
#include "base/file.h"
#include "base/json.h"
#include "compress/pruning.h"
#include "compress/widening.h"
#include "engine/checkpoint.h"
#include "graph/quantized_form.h"
#include "search/json_numbers.h"
#include "search/keep.h"

namespace retort::search {
namespace {

namespace fs = std::filesystem;

// What a candidate's folder holds:
//   stages.json         finished stages and the epochs decided for those begun: the truth about the rest
//   <stage>.retort      weights after the last finished stage
//   <stage>.checkpoint  after the last epoch of the stage that runs for which one was due (engine::CheckpointPace)
//   <stage>.best        the epoch to keep until then, for a stage that keeps its best

fs::path model_path(const Candidate& candidate, std::string_view stage_name) {
  return candidate.folder / fmt::format("{}.retort", stage_name);
}
fs::path checkpoint_path(const Candidate& candidate, std::string_view stage_name) {
  return candidate.folder / fmt::format("{}.checkpoint", stage_name);
}
fs::path best_path(const Candidate& candidate, std::string_view stage_name) {
  return candidate.folder / fmt::format("{}.best", stage_name);
}

void remove_file(const fs::path& path) {
  std::error_code ignored;  // a file that stays only takes room
  fs::remove(path, ignored);
}

// The views that a teacher has answered, which may be fewer than the settings allow.
data::ViewOptions answered_views(const Context& context) {
  data::ViewOptions views = context.settings.views;
  views.most = std::min(views.most, static_cast<int>(context.teacher->views.size()));
  return views;
}

std::optional<engine::Checkpoint> load_checkpoint(const Candidate& candidate, const Context& context,
                                                  const Training& training) {
  if (candidate.folder.empty()) return std::nullopt;
  const fs::path path = checkpoint_path(candidate, training.stage);
  if (!fs::exists(path)) return std::nullopt;
  try {
    // Going on needs the best epoch so far too, when that is what the stage hands on.
    if (training.keep == KeepEpoch::Best) {
      const fs::path best = best_path(candidate, training.stage);
      if (engine::load_model(best).graph != candidate.graph)
        throw_usage("{}: belongs to another network", best.string());
    }
    engine::Checkpoint checkpoint = engine::load_checkpoint(path, candidate.graph);
    const bool has_second = !checkpoint.optimizer.second.specs().empty();
    if (!engine::is_of_training(checkpoint, training.images.size(), training.options.batch_size) ||
        has_second != (context.settings.optimizer.kind == engine::OptimizerKind::Adam))
      throw_usage("{}: belongs to other training", path.string());
    return checkpoint;
  } catch (const Error& error) {
    context.progress.message(
        fmt::format("{}, {}, begins anew: {}", candidate.name, training.stage, error.what()));
    return std::nullopt;
  }
}

// The epoch to hand on: the first with the best validation accuracy.
class BestEpoch {
 public:
  BestEpoch(const Candidate& candidate, std::string_view stage_name, const engine::Checkpoint* resumed)
      : graph_(candidate.graph),
        path_(candidate.folder.empty() ? fs::path() : best_path(candidate, stage_name)) {
    if (resumed != nullptr)
      for (const engine::EpochResult& epoch : resumed->history.epochs)
        accuracy_ = std::max(accuracy_, accuracy(epoch));
  }

  void after_epoch(const engine::Checkpoint& checkpoint) {
    const double now = accuracy(checkpoint.history.epochs.back());
    if (!(now > accuracy_)) return;
    accuracy_ = now;
    parameters_ = checkpoint.parameters;
    is_saved_ = false;
  }

  // Before the checkpoint, which is of no use without it.
  void save() {
    if (is_saved_) return;
    engine::save_model(path_, {graph_, *parameters_});
    is_saved_ = true;
  }

  // When the best epoch was before a cut, its weights are in the file.
  [[nodiscard]] graph::Parameters take() {
    return parameters_ ? std::move(*parameters_) : engine::load_model(path_).parameters;
  }
  [[nodiscard]] double accuracy() const { return accuracy_; }

 private:
  static double accuracy(const engine::EpochResult& epoch) {
    return std::isfinite(epoch.validation_accuracy) ? epoch.validation_accuracy : 0;
  }

  const graph::Graph& graph_;
  fs::path path_;
  double accuracy_ = -1;
  std::optional<graph::Parameters> parameters_;
  bool is_saved_ = true;
};

// Whether a stage of a candidate may have left this network: that of the candidate, or its quantised form, whatever the momentum
// of its ranges.
bool may_be_left(const graph::Graph& left, const graph::Graph& graph) {
  if (left == graph) return true;
  const auto is_range = [](const graph::Node& node) {
    return std::holds_alternative<graph::FakeQuant>(node.op);
  };
  return std::ranges::equal(
      left.nodes(), graph::quantized_form(graph).nodes(), [&](const graph::Node& a, const graph::Node& b) {
        return a.inputs == b.inputs && a.shape == b.shape && (a.op == b.op || (is_range(a) && is_range(b)));
      });
}

double validation_accuracy(const Candidate& candidate, const Context& context) {
  const auto network = context.backend.compile(candidate.graph, {.batch_size = context.settings.batch_size,
                                                                 .threads = context.threads,
                                                                 .precision = context.settings.precision});
  network->set_parameters(candidate.parameters);
  return engine::evaluate(*network, context.dataset.train, context.split.validation).accuracy;
}

}  // namespace

void save_stages(const Candidate& candidate) {
  const Json state = {
      {"stages", candidate.stages}, {"epochs", candidate.epochs}, {"diverged", candidate.diverged}};
  keep([&] { write_text_atomic(candidate.folder / "stages.json", dump_json(state, 1)); });
}

void restore(Candidate& candidate, const Context& context) {
  const fs::path path = candidate.folder / "stages.json";
  if (candidate.folder.empty() || !fs::exists(path)) return;
  try {
    const Json state = parse_json(read_text(path));
    const auto stages = state.at("stages").get<std::vector<StageResult>>();
    const auto diverged = state.value("diverged", std::vector<Diverged>());
    candidate.epochs = epochs_from_json(state.at("epochs"));
    if (!stages.empty()) {
      // The files may be another machine's (unpack): a name is no path, and what memory was asked for is this network's.
      engine::Model model = engine::load_model(model_path(candidate, stage(stages.back().name).name));
      if (!may_be_left(model.graph, candidate.graph))
        throw_failure("what '{}' left is another network", stages.back().name);
      candidate.graph = std::move(model.graph);
      candidate.parameters = std::move(model.parameters);
      candidate.stages = stages;
    }
    candidate.diverged = diverged;  // with what it was about: what begins anew diverges anew
  } catch (const std::exception& error) {
    context.progress.message(fmt::format("{} begins anew: {}", candidate.name, error.what()));
  }
}

engine::TrainOptions train_options(const Candidate& candidate, const Context& context,
                                   std::string_view stage_name, int epochs) {
  const auto decided = candidate.epochs.find(stage_name);
  if (decided != candidate.epochs.end())
    epochs = decided->second;
  else if (context.epochs)
    epochs = std::max(context.epochs(candidate, stage_name, epochs), 1);
  engine::TrainOptions options;
  options.epochs = epochs;
  options.batch_size = context.settings.batch_size;
  options.schedule = context.settings.schedule;
  if (!candidate.diverged.empty()) options.schedule.peak *= kRateAfterDivergence;
  options.views = context.settings.views;
  return options;
}

engine::Objective objective(const Context& context, float alpha) {
  if (context.teacher == nullptr) return {};
  return {.alpha = alpha, .temperature = context.settings.temperature};
}

void train_stage(Candidate& candidate, const Context& context, Training training) {
  if (training.options.objective.alpha < 1) training.options.views = answered_views(context);
  if (training.options.early_stopping == engine::MonitorKind::None && training.keep == KeepEpoch::Last)
    training.options.validations = kStageValidations;
  const bool keeps_files = !candidate.folder.empty();
  if (keeps_files &&
      candidate.epochs.insert_or_assign(std::string(training.stage), training.options.epochs).second)
    save_stages(candidate);

  auto network = context.backend.compile(candidate.graph, {.batch_size = context.settings.batch_size,
                                                           .threads = context.threads,
                                                           .precision = context.settings.precision,
                                                           .optimizer = context.settings.optimizer});
  network->set_parameters(candidate.parameters);
  // What pruning took away stays away in every stage after it, whatever their order.
  const bool pruned =
      std::ranges::find(candidate.stages, "prune", &StageResult::name) != candidate.stages.end();
  if (pruned || training.hold_zeros) network->set_masks(compress::masks_of_zeros(candidate.parameters));

  const std::optional<engine::Checkpoint> resumed = load_checkpoint(candidate, context, training);
  BestEpoch best(candidate, training.stage, resumed ? &*resumed : nullptr);
  engine::CheckpointPace<> pace;
  engine::TrainCallbacks callbacks;
  callbacks.before_step = training.before_step;
  callbacks.progress = &context.progress;
  callbacks.task = fmt::format("{}: {}", candidate.name, training.stage);
  callbacks.after_epoch = [&](const engine::Checkpoint& checkpoint) {
    if (training.keep == KeepEpoch::Best) best.after_epoch(checkpoint);
    const auto save = [&] {
      keep([&] {
        best.save();
        engine::save_checkpoint(checkpoint_path(candidate, training.stage), candidate.graph, checkpoint);
      });
    };
    if (keeps_files && pace.write_if_due(save) && context.epoch_kept) context.epoch_kept();
    if (context.epoch_finished) context.epoch_finished(candidate, checkpoint.history);
  };
  const engine::TrainData data{.dataset = context.dataset,
                               .train = training.images,
                               .validation = context.split.validation,
                               .teacher = context.teacher};
  StageResult result;
  result.name = training.stage;
  result.epochs = training.options.epochs;
  result.history = engine::train(*network, data, training.options, candidate.rng.fork(training.stage),
                                 callbacks, context.stop, resumed ? &*resumed : nullptr);
  // A stage that stopped early never reaches its total by itself.
  context.progress.update(callbacks.task, 1, 1, {});

  result.trained = static_cast<int>(result.history.epochs.size());
  result.seconds = result.history.seconds;
  if (training.keep == KeepEpoch::Best) {
    candidate.parameters = best.take();
    result.validation_accuracy = best.accuracy();
  } else {
    candidate.parameters = network->parameters();
    result.validation_accuracy = result.history.epochs.back().validation_accuracy;
  }
  if (training.narrow_to) {
    network.reset();  // two at once would take more memory than was asked for
    candidate.parameters = compress::resized(candidate.graph, candidate.parameters, *training.narrow_to,
                                             candidate.rng.fork("narrow"));
    candidate.graph = *std::move(training.narrow_to);
    result.validation_accuracy = validation_accuracy(candidate, context);
  }
  result.sparsity = graph::kernel_sparsity(candidate.parameters);
  if (result.sparsity > 0) result.layers = compress::sparsity_by_layer(candidate.graph, candidate.parameters);
  const std::string previous = candidate.stages.empty() ? std::string() : candidate.stages.back().name;
  candidate.stages.push_back(std::move(result));
  if (keeps_files) {
    keep([&] {
      engine::save_model(model_path(candidate, training.stage),
                         {candidate.graph, candidate.parameters, context.dataset.classes});
    });
    save_stages(candidate);
    forget_epochs(candidate, training.stage);
    if (!previous.empty()) remove_file(model_path(candidate, previous));
  }
  if (context.stage_finished) context.stage_finished(candidate);
}

void forget_epochs(const Candidate& candidate, std::string_view stage_name) {
  remove_file(checkpoint_path(candidate, stage_name));
  remove_file(best_path(candidate, stage_name));
}

}  // namespace retort::search
