#include "search/pipeline.h"

#include <fmt/ranges.h>

#include <algorithm>
#include <cmath>
#include <numeric>
#include <utility>

#include "base/error.h"
#include "base/file.h"
#include "compress/pruning.h"
#include "compress/quantization.h"
#include "compress/widening.h"
#include "data/curriculum.h"
#include "int8/evaluate.h"
#include "int8/evaluator.h"
#include "int8/lower.h"
#include "int8/tflite.h"
#include "search/keep.h"
#include "search/stage_training.h"

namespace retort::search {
namespace {

namespace fs = std::filesystem;

bool is_quantised(const graph::Graph& graph) {
  return std::ranges::any_of(graph.nodes(), [](const graph::Node& node) {
    return std::holds_alternative<graph::FakeQuant>(node.op);
  });
}

graph::QuantizedForm quantised_form(const Candidate& candidate, const Context& context) {
  return compress::prepare_quantization(candidate.graph, candidate.parameters, context.dataset,
                                        context.split.train, context.backend,
                                        context.settings.range_momentum);
}

// Zeros among the kernels' weights, as the file has them.
double int8_sparsity(const int8::QuantGraph& graph) {
  int64_t zeros = 0;
  int64_t weights = 0;
  for (const int8::Operator& op : graph.operators) {
    const bool has_kernel = std::holds_alternative<int8::Conv2D>(op.kind) ||
                            std::holds_alternative<int8::DepthwiseConv2D>(op.kind) ||
                            std::holds_alternative<int8::FullyConnected>(op.kind);
    if (!has_kernel) continue;
    const int8::Tensor& kernel = graph.tensors.at(static_cast<size_t>(op.inputs.at(1)));
    zeros += std::ranges::count(kernel.data, uint8_t{0});
    weights += static_cast<int64_t>(kernel.data.size());
  }
  return weights == 0 ? 0 : static_cast<double>(zeros) / static_cast<double>(weights);
}

// From the stage's beginning once more, after it diverged. Its files go first: a checkpoint of the old rate would go on
// with the new one.
void begin_anew(std::string_view stage_name, const engine::Divergence& error, Candidate& candidate,
                const Context& context) {
  candidate.diverged.push_back({std::string(stage_name), error.what()});
  if (candidate.diverged.size() > kMostDivergences) throw error;
  context.progress.message(fmt::format("{}, {}: {}. It begins anew with {} of the rate.", candidate.name,
                                       stage_name, error.what(), kRateAfterDivergence));
  if (candidate.folder.empty()) return;
  forget_epochs(candidate, stage_name);
  save_stages(candidate);
}

Verdict run_stage(const Stage& stage, Candidate& candidate, const Context& context) {
  while (true) {
    try {
      return stage.run(candidate, context);
    } catch (const engine::Divergence& error) {
      begin_anew(stage.name, error, candidate, context);
    }
  }
}

// By the images, the loss and the pacing of distillation.
Training distilling(const Candidate& candidate, const Context& context, std::string_view stage_name,
                    int epochs) {
  const PipelineSettings& settings = context.settings;
  Training training{.stage = stage_name,
                    .options = train_options(candidate, context, stage_name, epochs),
                    .images = context.split.train};
  training.options.objective = objective(context, settings.alpha);
  if (settings.curriculum != compress::Curriculum::None) {
    training.images = context.curriculum;
    training.options.pacing = [count = context.curriculum.size(), pacing = settings.pacing](double t) {
      return data::usable_images(count, t, pacing);
    };
  }
  return training;
}

constexpr Stage kStages[] = {{"quick", quick_evaluation}, {"gate", gate},   {"channels", channels},
                             {"distill", distill},        {"prune", prune}, {"quantize", quantize},
                             {"export", export_model}};

}  // namespace

Candidate make_candidate(std::string name, const graph::Graph& graph, const Rng& rng, fs::path folder) {
  return adopt_candidate(std::move(name), graph, graph::initialize(graph, rng.fork("weights")), rng,
                         std::move(folder));
}

Candidate adopt_candidate(std::string name, const graph::Graph& graph, graph::Parameters parameters,
                          const Rng& rng, fs::path folder) {
  Candidate candidate;
  candidate.name = std::move(name);
  candidate.graph = graph;
  candidate.parameters = std::move(parameters);
  candidate.rng = rng;
  candidate.folder = std::move(folder);
  return candidate;
}

std::vector<uint32_t> curriculum_order(compress::Curriculum curriculum, const data::Split& split,
                                       const engine::TeacherLogits* teacher, const Rng& rng) {
  switch (curriculum) {
    case compress::Curriculum::None:
      return {};
    case compress::Curriculum::RandomPacing:
      return data::random_order(split.train, rng.fork("curriculum"));
    case compress::Curriculum::Entropy:
      break;
  }
  if (teacher == nullptr) throw_usage("the curriculum 'entropy' needs a teacher");
  // By the image itself, the first view.
  const auto plain =
      std::span(teacher->values).first(teacher->images * static_cast<size_t>(teacher->classes));
  return data::easy_first(split.train,
                          data::prediction_entropies(plain, static_cast<size_t>(teacher->classes)));
}

Verdict quick_evaluation(Candidate& candidate, const Context& context) {
  Training training{.stage = "quick",
                    .options = train_options(candidate, context, "quick", context.settings.quick_epochs),
                    .images = context.split.train};
  training.options.early_stopping = engine::MonitorKind::ValidationLoss;
  training.options.patience = context.settings.quick_patience;
  train_stage(candidate, context, std::move(training));
  return Verdict::Continue;
}

Verdict gate(Candidate& candidate, const Context& context) {
  if (candidate.stages.empty()) throw_usage("the stage 'gate' needs a training stage before it");
  const double accuracy = candidate.stages.back().validation_accuracy;
  if (context.settings.gate <= 0 || accuracy > context.settings.gate) return Verdict::Continue;
  candidate.reason =
      fmt::format("validation accuracy {:.4f} is not above {:.4f}", accuracy, context.settings.gate);
  return Verdict::Skip;
}

Verdict distill(Candidate& candidate, const Context& context) {
  train_stage(candidate, context, distilling(candidate, context, "distill", context.settings.distill_epochs));
  return Verdict::Continue;
}

Verdict channels(Candidate& candidate, const Context& context) {
  const graph::Graph narrow = candidate.graph;
  graph::Graph wide = compress::widened(narrow, context.settings.wider);
  if (wide == narrow)  // this one's failure alone
    throw_failure("the stage 'channels' needs a network with convolutions between its ends");
  const Rng rng = candidate.rng.fork("wide");
  graph::Parameters weights = candidate.stages.empty()
                                  ? graph::initialize(wide, rng)
                                  : compress::resized(narrow, candidate.parameters, wide, rng);
  Training training = distilling(candidate, context, "channels", context.settings.channels_epochs);
  training.narrow_to = narrow;
  const graph::Parameters before = std::exchange(candidate.parameters, std::move(weights));
  candidate.graph = std::move(wide);
  try {
    train_stage(candidate, context, std::move(training));
  } catch (...) {
    // It may begin anew.
    candidate.graph = narrow;
    candidate.parameters = before;
    throw;
  }
  return Verdict::Continue;
}

Verdict prune(Candidate& candidate, const Context& context) {
  compress::Pruner pruner(context.settings.pruning);
  Training training{.stage = "prune",
                    .options = train_options(candidate, context, "prune", context.settings.prune_epochs),
                    .images = context.split.train,
                    .before_step = [&pruner](engine::Network& network, int64_t step, int64_t total) {
                      pruner.before_step(network, step, total);
                    }};
  training.options.objective = objective(context, context.settings.prune_alpha);
  train_stage(candidate, context, std::move(training));
  return Verdict::Continue;
}

Verdict quantize(Candidate& candidate, const Context& context) {
  if (!is_quantised(candidate.graph)) {
    graph::QuantizedForm form = quantised_form(candidate, context);
    candidate.graph = std::move(form.graph);
    candidate.parameters = std::move(form.parameters);
  }
  Training training{.stage = "quantize",
                    .options = train_options(candidate, context, "quantize", context.settings.qat_epochs),
                    .images = context.split.train,
                    .keep = context.settings.qat_keep,
                    .hold_zeros = true};
  training.options.schedule.peak *= static_cast<float>(context.settings.qat_rate);
  training.options.objective = objective(context, context.settings.qat_alpha);
  train_stage(candidate, context, std::move(training));
  return Verdict::Continue;
}

Verdict export_model(Candidate& candidate, const Context& context) {
  // What was not trained on int8's grid stays as it was trained: others may start from its weights.
  const int8::LowerOptions options{.ends = context.settings.ends, .classes = context.dataset.classes};
  const auto lowered = [&] {
    if (is_quantised(candidate.graph)) return int8::lower(candidate.graph, candidate.parameters, options);
    const graph::QuantizedForm form = quantised_form(candidate, context);
    return int8::lower(form.graph, form.parameters, options);
  };
  const int8::QuantGraph graph = lowered();
  ExportedModel exported;
  exported.tflite = int8::write_tflite(graph);
  exported.sparsity = int8_sparsity(graph);
  exported.validation_accuracy =
      int8_accuracy(exported.tflite, context.dataset.train, context.split.validation, context.stop);
  if (!candidate.folder.empty())
    keep([&] { write_file_atomic(candidate.folder / "model.tflite", exported.tflite); });
  candidate.exported = std::move(exported);
  return Verdict::Continue;
}

Context Context::with(const PipelineSettings& other) const {
  return {.dataset = dataset,
          .split = split,
          .split_record = split_record,
          .settings = other,
          .teacher = teacher,
          .curriculum = curriculum,
          .backend = backend,
          .threads = threads,
          .memory = memory,
          .progress = progress,
          .stop = stop,
          .epochs = epochs,
          .epoch_finished = epoch_finished,
          .epoch_kept = epoch_kept,
          .stage_finished = stage_finished};
}

const Stage& stage(std::string_view name) {
  const auto* found = std::ranges::find(kStages, name, &Stage::name);
  if (found == std::end(kStages))
    throw_usage("unknown stage '{}': known are {}", name, fmt::join(stage_names(), ", "));
  return *found;
}

std::vector<std::string> stage_names() {
  std::vector<std::string> names;
  for (const Stage& entry : kStages) names.emplace_back(entry.name);
  return names;
}

Verdict run_stages(Candidate& candidate, const Context& context) {
  restore(candidate, context);
  auto next = context.settings.stages.begin();
  const auto end = context.settings.stages.end();
  if (!candidate.stages.empty()) {
    const auto last = std::find(next, end, candidate.stages.back().name);
    if (last == end)
      throw_failure("{}: holds the stage '{}', which this pipeline lacks", candidate.folder.string(),
                    candidate.stages.back().name);
    next = last + 1;
  }
  for (; next != end; ++next)
    if (run_stage(stage(*next), candidate, context) == Verdict::Skip) return Verdict::Skip;
  return Verdict::Continue;
}

double int8_accuracy(std::span<const uint8_t> tflite, const data::ImageSet& images,
                     std::span<const uint32_t> indices, std::stop_token stop) {
  int8::Evaluator evaluator(int8::read_tflite(tflite, "the exported model"));
  // One thread: a candidate has no more.
  const std::vector<int8_t> outputs =
      int8::run_all(evaluator, {.images = images.pixels, .indices = indices}, 1, [&](size_t) {
        if (stop.stop_requested()) throw Error(ErrorCode::Interrupted, "evaluation was interrupted");
      });
  return int8::accuracy(outputs, indices, images.labels);
}

}  // namespace retort::search
