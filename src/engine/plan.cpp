#include "engine/plan.h"

#include <algorithm>
#include <cmath>
#include <cstring>

#include "engine/onednn/onednn.h"
#include "engine/work.h"

namespace retort::engine {

// Finds out who needs which memory when, arranges it, and binds the operations to it.
class Plan::Builder {
 public:
  Builder(Plan& plan, const ParameterLayout& layout, const CompileOptions& options)
      : plan_(plan),
        count_(static_cast<int>(plan.lowered_.operations.size())),
        learns_(nodes(), false),
        value_(nodes(), -1),
        gradient_(nodes(), -1),
        readers_(nodes(), 0) {
    for (int k = 0; k < count_; ++k) make(k, layout, options);
    ++readers_[at(plan.lowered_.logits)];  // the loss
  }

  // Gives every buffer its place; the bytes of all.
  size_t arrange() {
    for (int k = 0; k < count_; ++k) place_values(k);
    size_t workspace_bytes = 0;
    for (const MemoryNeeds& needs : needs_)
      workspace_bytes = std::max(workspace_bytes, needs.workspace_bytes);
    workspace_ = memory_.request(workspace_bytes, 0, 2 * count_);
    const int logits = plan_.lowered_.logits;
    memory_.extend(value_[at(logits)], count_);
    if (training()) {
      gradient_[at(logits)] = memory_.request(bytes(logits), count_, count_);
      for (int k = count_; k-- > 0;) place_gradients(k);
    }
    return memory_.arrange();
  }

  void build(const ParameterArrays& parameters) {
    plan_.arena_ = Arena(arrange());
    const int logits = plan_.lowered_.logits;
    for (int k = 0; k < count_; ++k) bind(k, workspace_, parameters);
    plan_.logits_ = floats(value_[at(logits)]);
    plan_.logits_stride_ = memory_shape(plan_.graph_, plan_.lowered_, logits, 1).channels();
    if (!training()) return;
    plan_.logits_gradient_ = floats(gradient_[at(logits)]);
    for (const PendingStep& step : steps_) {
      BackwardStep& done = plan_.backward_.emplace_back();
      done.operation = plan_.operations_[at(step.operation)].get();
      for (const PendingTransfer& transfer : step.transfers)
        done.transfers.push_back({transfer.kind, transfer.count, floats(transfer.from), floats(transfer.to)});
    }
  }

 private:
  struct PendingTransfer {
    TransferKind kind = TransferKind::Copy;
    size_t count = 0;
    int from = 0;
    int to = 0;
  };
  struct PendingStep {
    int operation = 0;
    std::vector<PendingTransfer> transfers;
  };

  static size_t at(int index) { return static_cast<size_t>(index); }
  [[nodiscard]] size_t nodes() const { return at(plan_.graph_.size()); }
  [[nodiscard]] bool training() const { return plan_.mode_ == PlanMode::Training; }
  [[nodiscard]] int backward_time(int k) const { return 2 * count_ - k; }
  [[nodiscard]] const LoweredOperation& lowered(int k) const { return plan_.lowered_.operations[at(k)]; }
  [[nodiscard]] float* floats(int buffer) const {
    return buffer < 0 ? nullptr : reinterpret_cast<float*>(plan_.arena_.data() + memory_.offset(buffer));
  }

  [[nodiscard]] size_t bytes(int node) const { return plan_.value_count(node) * sizeof(float); }

  void make(int k, const ParameterLayout& layout, const CompileOptions& options) {
    const LoweredOperation& operation = lowered(k);
    bool input_gradient = false;
    for (const int input : operation.inputs) {
      input_gradient = input_gradient || learns_[at(input)];
      ++readers_[at(input)];
    }
    const bool has_parameters = layout.place(operation.node, graph::Role::Kernel).size > 0 ||
                                layout.place(operation.node, graph::Role::Gamma).size > 0;
    learns_[at(operation.output)] = input_gradient || has_parameters;
    plan_.operations_.push_back(
        make_operation({plan_.graph_, plan_.lowered_, layout, operation, plan_.mode_, plan_.images_,
                        options.threads, options.precision, input_gradient}));
    MemoryNeeds needs = plan_.operations_.back()->needs();
    if (!training()) {
      needs.backward_reads_input = false;
      needs.backward_reads_output = OutputUse::None;
    }
    needs_.push_back(needs);
  }

  // Whether operation k may write its output over its input.
  [[nodiscard]] bool works_in_place(int k) const {
    const LoweredOperation& operation = lowered(k);
    const MemoryNeeds& needs = needs_[at(k)];
    if (!needs.forward_in_place || needs.backward_reads_input) return false;
    const int input = operation.inputs[0];
    if (readers_[at(input)] != 1) return false;
    const OutputUse use = use_[at(value_[at(input)])];
    return use == OutputUse::None || (use == OutputUse::Sign && needs.keeps_signs);
  }

  void place_values(int k) {
    const LoweredOperation& operation = lowered(k);
    const MemoryNeeds& needs = needs_[at(k)];
    for (const int input : operation.inputs) {
      memory_.extend(value_[at(input)], k);
      if (needs.backward_reads_input) memory_.extend(value_[at(input)], backward_time(k));
    }
    int& output = value_[at(operation.output)];
    output =
        works_in_place(k) ? value_[at(operation.inputs[0])] : memory_.request(bytes(operation.output), k, k);
    use_.resize(std::max(use_.size(), at(output) + 1), OutputUse::None);
    use_[at(output)] = std::max(use_[at(output)], needs.backward_reads_output);
    if (needs.backward_reads_output != OutputUse::None) memory_.extend(output, backward_time(k));
    kept_.push_back(
        needs.kept_bytes > 0 ? memory_.request(needs.kept_bytes, k, training() ? backward_time(k) : k) : -1);
  }

  // Gives the gradients that operation k hands back their places. The first reader of a tensor to run
  // backwards makes its gradient, the others add theirs.
  void place_gradients(int k) {
    const LoweredOperation& operation = lowered(k);
    const int time = backward_time(k);
    input_gradient_.resize(at(count_), -1);
    if (!learns_[at(operation.output)]) return;
    PendingStep step{k, {}};
    const int incoming = gradient_[at(operation.output)];
    memory_.extend(incoming, time);
    const bool in_place = needs_[at(k)].backward_in_place;
    for (size_t i = operation.inputs.size(); i-- > 0;) {
      const int input = operation.inputs[i];
      if (!learns_[at(input)]) continue;
      int& gradient = gradient_[at(input)];
      const size_t count = bytes(input) / sizeof(float);
      if (gradient >= 0) {
        memory_.extend(gradient, time);
        int from = incoming;
        if (!in_place) from = input_gradient_[at(k)] = memory_.request(bytes(input), time, time);
        step.transfers.push_back({TransferKind::Accumulate, count, from, gradient});
      } else if (in_place && i == 0) {
        gradient = incoming;
      } else {
        gradient = memory_.request(bytes(input), time, time);
        if (in_place)
          step.transfers.push_back({TransferKind::Copy, count, incoming, gradient});
        else
          input_gradient_[at(k)] = gradient;
      }
    }
    steps_.push_back(std::move(step));
  }

  void bind(int k, int workspace, const ParameterArrays& parameters) {
    const LoweredOperation& operation = lowered(k);
    OperationMemory memory;
    for (size_t i = 0; i < operation.inputs.size(); ++i)
      memory.inputs[i] = floats(value_[at(operation.inputs[i])]);
    memory.output = floats(value_[at(operation.output)]);
    memory.output_gradient = floats(gradient_[at(operation.output)]);
    if (training()) memory.input_gradient = floats(input_gradient_[at(k)]);
    memory.kept = reinterpret_cast<std::byte*>(floats(kept_[at(k)]));
    memory.workspace = reinterpret_cast<std::byte*>(floats(workspace));
    memory.parameters = parameters.values;
    memory.parameter_gradients = training() ? parameters.gradients : nullptr;
    plan_.operations_[at(k)]->bind(memory);
  }

  Plan& plan_;
  int count_;  // of operations
  MemoryPlan memory_;
  int workspace_ = -1;  // buffer
  std::vector<MemoryNeeds> needs_;
  std::vector<int> kept_;            // buffer of each operation, −1 for none
  std::vector<int> input_gradient_;  // buffer that each operation writes, −1 for none
  std::vector<PendingStep> steps_;
  // Of each buffer: what the backward passes of all the operations that wrote there one after the other read of it.
  std::vector<OutputUse> use_;
  // By node.
  std::vector<bool> learns_;
  std::vector<int> value_;
  std::vector<int> gradient_;
  std::vector<int> readers_;
};

Plan::Plan(const graph::Graph& graph, PlanMode mode, int images, const CompileOptions& options)
    : graph_(graph),
      lowered_(lower(graph, choose_block(graph, options.precision), mode)),
      mode_(mode),
      images_(images),
      classes_(graph.classes()) {}

Plan::Plan(const graph::Graph& graph, const ParameterLayout& layout, const ParameterArrays& parameters,
           PlanMode mode, int images, const CompileOptions& options)
    : Plan(graph, mode, images, options) {
  Builder(*this, layout, options).build(parameters);
}

size_t Plan::needed_bytes(const graph::Graph& graph, const ParameterLayout& layout, PlanMode mode, int images,
                          const CompileOptions& options) {
  Plan plan(graph, mode, images, options);
  return Builder(plan, layout, options).arrange();
}

size_t Plan::value_count(int node) const {
  const graph::Node& found = graph_.node(node);
  const bool rounds_input = std::holds_alternative<graph::FakeQuant>(found.op) && found.inputs[0] == 0;
  return lowered_.planar_input && (node == 0 || rounds_input)
             ? lowered_.planar.image_size() * static_cast<size_t>(images_)
             : memory_shape(graph_, lowered_, node, images_).size();
}

std::vector<std::string> Plan::describe() const {
  std::vector<std::string> lines;
  for (const auto& operation : operations_) lines.push_back(operation->describe());
  return lines;
}

StepResult Plan::train(const Batch& batch, const Objective& objective, Rng& rng) {
  const StepInput step{batch.images.data(), images_, &rng};
  for (const auto& operation : operations_) operation->forward(step);
  const kernels::LossResult loss = kernels::softmax_loss(
      images_, classes_, logits_stride_, logits_, batch.labels.data(),
      objective.alpha == 1 ? nullptr : batch.teacher_logits.data(), objective, images_, logits_gradient_);
  for (const BackwardStep& backward : backward_) {
    backward.operation->backward();
    for (const Transfer& transfer : backward.transfers) {
      if (transfer.kind == TransferKind::Copy)
        std::memcpy(transfer.to, transfer.from, transfer.count * sizeof(float));
      else
        kernels::accumulate(transfer.count, transfer.from, transfer.to);
    }
  }
  return {loss.loss_sum / images_, loss.correct};
}

int Plan::first_output_not_finite(std::span<const uint8_t> images, Rng rng) {
  const StepInput step{images.data(), images_, &rng};
  for (size_t k = 0; k < operations_.size(); ++k) {
    operations_[k]->forward(step);
    const LoweredOperation& operation = lowered_.operations[k];
    const std::span values(operations_[k]->output(), value_count(operation.output));
    if (!std::ranges::all_of(values, [](float value) { return std::isfinite(value); })) return operation.node;
  }
  return -1;
}

void Plan::infer(std::span<const uint8_t> images, std::span<float> logits) {
  const auto classes = static_cast<size_t>(classes_);
  const StepInput step{images.data(), static_cast<int>(logits.size() / classes), nullptr};
  for (const auto& operation : operations_) operation->forward(step);
  for (int image = 0; image < step.count; ++image)
    std::copy_n(logits_ + static_cast<size_t>(image) * logits_stride_, classes,
                logits.begin() + static_cast<std::ptrdiff_t>(static_cast<size_t>(image) * classes));
}

}  // namespace retort::engine
