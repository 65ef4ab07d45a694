#include "engine/cpu_backend.h"

#include <hwy/targets.h>

#include <algorithm>
#include <atomic>
#include <cmath>
#include <cstring>
#include <map>

#include "base/error.h"
#include "engine/backend.h"
#include "engine/denormals.h"
#include "engine/onednn/onednn.h"
#include "engine/plan.h"
#include "engine/plan_common.h"
#include "engine/work.h"

namespace retort::engine {
namespace {

// How this thread, and those that help it, compute within a call of the network.
class Session {
 public:
  explicit Session(int threads) : threads_(threads), flush_(threads) {}

 private:
  onednn::ThreadScope threads_;
  FlushDenormals flush_;
};

// Values, gradients, moments.
size_t storage_bytes(const ParameterLayout& layout, const CompileOptions& options) {
  const size_t arrays = options.optimizer.kind == OptimizerKind::Adam ? 3 : 2;
  return (layout.count() + layout.trainable_count() * arrays) * sizeof(float);
}

// Images of an inference plan: enough to fill the caches, few enough to stay in them.
constexpr int kInferenceImages = 32;

class CpuNetwork final : public Network {
 public:
  CpuNetwork(const graph::Graph& graph, const CompileOptions& options)
      : graph_((check_graph(graph, options), graph)),
        options_(options),
        canonical_(graph),
        layout_(graph_, lower(graph_, choose_block(graph_, options.precision), PlanMode::Training)) {
    const size_t learned = layout_.trainable_count();
    const bool adam = options.optimizer.kind == OptimizerKind::Adam;
    storage_ = Arena(storage_bytes(layout_, options));
    float* next = storage_.floats();
    const auto take = [&next](size_t count) {
      const std::span<float> taken(next, count);
      next += count;
      return taken;
    };
    values_ = take(layout_.count());
    gradients_ = take(learned);
    first_ = take(learned);
    if (adam) second_ = take(learned);
    training_plan(options.batch_size);
  }

  [[nodiscard]] const graph::Graph& graph() const override { return graph_; }

  void set_parameters(const graph::Parameters& parameters) override {
    check_layout(canonical_, parameters, "parameters");
    layout_.to_internal(parameters.values(), values_);
    apply_masks();
  }
  [[nodiscard]] graph::Parameters parameters() const override { return canonical(values_); }

  void set_masks(const graph::Parameters& masks) override {
    check_layout(canonical_, masks, "masks");
    canonical_masks_ = masks;
    masks_ = Arena(layout_.kernel_count() * sizeof(float));
    layout_.to_internal(masks.values(), {masks_.floats(), layout_.kernel_count()});
    apply_masks();
  }

  [[nodiscard]] graph::Parameters masks() const override { return canonical_masks_; }

  void set_optimizer_state(const OptimizerState& state) override {
    check_layout(canonical_, state.first, "optimiser's moments");
    layout_.to_internal(state.first.values(), first_);
    if (!second_.empty()) {
      check_layout(canonical_, state.second, "optimiser's second moments");
      layout_.to_internal(state.second.values(), second_);
    }
    steps_ = state.steps;
  }
  [[nodiscard]] OptimizerState optimizer_state() const override {
    OptimizerState state;
    state.steps = steps_;
    state.first = canonical(first_);
    if (!second_.empty()) state.second = canonical(second_);
    return state;
  }

  StepResult compute_gradients(const Batch& batch, const Objective& objective, Rng& rng) override {
    check_batch(graph_, options_.batch_size, batch, objective);
    const Session session(options_.threads);
    return training_plan(static_cast<int>(batch.labels.size())).train(batch, objective, rng);
  }

  [[nodiscard]] graph::Parameters gradients() const override { return canonical(gradients_); }

  int first_output_not_finite(const Batch& batch, const Objective& objective, Rng rng) override {
    check_batch(graph_, options_.batch_size, batch, objective);
    const Session session(options_.threads);
    return training_plan(static_cast<int>(batch.labels.size())).first_output_not_finite(batch.images, rng);
  }

  bool apply_gradients(float learning_rate) override {
    const Session session(options_.threads);
    ++steps_;
    std::atomic<bool> finite = state_is_finite();
    // Threads share the parameters by whole cache lines.
    const auto kernels_end = static_cast<int>(layout_.kernel_count() / kLineFloats);
    const auto end = static_cast<int>(layout_.trainable_count() / kLineFloats);
    const Workers workers(options_.threads, end);
    workers.run([&](const ImageRange& lines) {
      const int last = lines.first + lines.count;
      const int border = std::clamp(kernels_end, lines.first, last);
      OptimizerOptions options = options_.optimizer;
      const float* masks = masks_.bytes() > 0 ? masks_.floats() : nullptr;
      const bool kernels = optimize(options, learning_rate, lines.first, border, masks);
      options.weight_decay = 0;
      const bool others = optimize(options, learning_rate, border, last, nullptr);
      if (!kernels || !others) finite = false;
    });
    return finite;
  }

  void predict(std::span<const uint8_t> images, std::span<float> logits) override;

  [[nodiscard]] int64_t memory_bytes() const override {
    size_t bytes = storage_.bytes() + masks_.bytes();
    for (const auto& [images, plan] : training_) bytes += plan->arena_bytes();
    if (inference_) bytes += inference_->arena_bytes();
    return static_cast<int64_t>(bytes);
  }
  [[nodiscard]] std::vector<std::string> describe_plan() const override {
    std::vector<std::string> lines;
    const auto add = [&lines](const Plan& plan, std::string_view mode) {
      for (const std::string& line : plan.describe())
        lines.push_back(fmt::format("{} of {}: {}", mode, plan.images(), line));
    };
    for (const auto& [images, plan] : training_) add(*plan, "training");
    if (inference_) add(*inference_, "inference");
    return lines;
  }

 private:
  [[nodiscard]] graph::Parameters canonical(std::span<const float> internal) const {
    graph::Parameters result = canonical_;
    layout_.to_canonical(internal, result.values());
    return result;
  }

  Plan& training_plan(int images) {
    const auto found = training_.find(images);
    if (found != training_.end()) return *found->second;
    return *training_.emplace(images, make_plan(PlanMode::Training, images)).first->second;
  }
  [[nodiscard]] std::unique_ptr<Plan> make_plan(PlanMode mode, int images) const {
    const onednn::ThreadScope threads(options_.threads);  // oneDNN plans for the threads that it sees
    return std::make_unique<Plan>(graph_, layout_, ParameterArrays{values_.data(), gradients_.data()}, mode,
                                  images, options_);
  }

  // What batch norm and ranges gathered: few numbers.
  [[nodiscard]] bool state_is_finite() const {
    const auto state = std::span<const float>(values_).subspan(layout_.trainable_count());
    return std::ranges::all_of(state, [](float value) { return std::isfinite(value); });
  }

  bool optimize(const OptimizerOptions& options, float learning_rate, int first_line, int last_line,
                const float* mask) {
    if (first_line >= last_line) return true;
    const size_t begin = static_cast<size_t>(first_line) * kLineFloats;
    const size_t count = static_cast<size_t>(last_line - first_line) * kLineFloats;
    const float* own_mask = mask == nullptr ? nullptr : mask + begin;
    if (options.kind == OptimizerKind::Adam)
      return kernels::adam_step(count, options, learning_rate, steps_, gradients_.data() + begin, own_mask,
                                first_.data() + begin, second_.data() + begin, values_.data() + begin);
    return kernels::sgd_step(count, options, learning_rate, gradients_.data() + begin, own_mask,
                             first_.data() + begin, values_.data() + begin);
  }

  void apply_masks() {
    if (masks_.bytes() == 0) return;
    for (size_t i = 0; i < layout_.kernel_count(); ++i)
      if (masks_.floats()[i] == 0) values_[i] = 0;
  }

  graph::Graph graph_;
  CompileOptions options_;
  graph::Parameters canonical_;  // all zero: the shape of every answer
  ParameterLayout layout_;
  Arena storage_;
  std::span<float> values_;
  std::span<float> gradients_;
  std::span<float> first_;
  std::span<float> second_;
  Arena masks_;  // of kernels; empty until set
  graph::Parameters canonical_masks_;
  int64_t steps_ = 0;
  // By number of images: the full batch, and an epoch's last one. Batch norm and ranges must see valid images
  // alone.
  std::map<int, std::unique_ptr<Plan>> training_;
  std::unique_ptr<Plan> inference_;
};

void CpuNetwork::predict(std::span<const uint8_t> images, std::span<float> logits) {
  const auto image_bytes = static_cast<size_t>(graph_.input_shape().size());
  const auto classes = static_cast<size_t>(graph_.classes());
  const size_t count = images.size() / image_bytes;
  if (images.size() % image_bytes != 0 || logits.size() != count * classes)
    throw_usage("{} bytes of images and {} logits: {} and {} an image are needed", images.size(),
                logits.size(), image_bytes, classes);
  if (!inference_) inference_ = make_plan(PlanMode::Inference, kInferenceImages);
  const Session session(options_.threads);
  const auto chunk = static_cast<size_t>(inference_->images());
  for (size_t begin = 0; begin < count; begin += chunk) {
    const size_t size = std::min(chunk, count - begin);
    inference_->infer(images.subspan(begin * image_bytes, size * image_bytes),
                      logits.subspan(begin * classes, size * classes));
  }
}

class CpuBackend final : public Backend {
 public:
  [[nodiscard]] std::string_view name() const override { return "cpu"; }
  [[nodiscard]] std::unique_ptr<Network> compile(const graph::Graph& graph,
                                                 const CompileOptions& options) const override {
    return std::make_unique<CpuNetwork>(graph, options);
  }
  [[nodiscard]] int64_t memory_bytes(const graph::Graph& graph, const CompileOptions& options,
                                     int last_batch) const override {
    check_graph(graph, options);
    const ParameterLayout layout(graph,
                                 lower(graph, choose_block(graph, options.precision), PlanMode::Training));
    const onednn::ThreadScope threads(options.threads);  // oneDNN plans for the threads that it sees
    const auto plan = [&](PlanMode mode, int images) {
      return images == 0 ? 0 : Plan::needed_bytes(graph, layout, mode, images, options);
    };
    return static_cast<int64_t>(storage_bytes(layout, options) + layout.kernel_count() * sizeof(float) +
                                plan(PlanMode::Training, options.batch_size) +
                                plan(PlanMode::Training, last_batch) +
                                plan(PlanMode::Inference, kInferenceImages));
  }
};

}  // namespace

std::unique_ptr<Backend> make_cpu_backend() {
  // A limit on oneDNN's instruction set (ONEDNN_MAX_CPU_ISA) holds for our own kernels too: theirs are numbered
  // from the newest.
  if (onednn::channel_block() < 16) hwy::DisableTargets(HWY_AVX2 - 1);
  return std::make_unique<CpuBackend>();
}

}  // namespace retort::engine
