#include "int8/check.h"

#include <algorithm>
#include <cstdint>
#include <string>
#include <utility>

#include "base/error.h"
#include "int8/check_operator.h"
#include "int8/check_tensor.h"

namespace retort::int8 {

namespace {

// Far beyond any microcontroller; so that no file makes us ask for more memory than a machine has.
constexpr int64_t kMaximumActivationBytes = int64_t{1} << 28;
constexpr size_t kMaximumTensors = 4 * size_t{graph::kMaximumNodes};
constexpr size_t kMaximumOperators = 2 * size_t{graph::kMaximumNodes};

class Checker {
 public:
  Checker(const QuantGraph& graph, std::string_view name, const Unreadable& unreadable)
      : graph_(graph),
        name_(name),
        unsound_(unreadable.tensors),
        unreadable_operators_(unreadable.operators) {
    unsound_.resize(graph.tensors.size());
    unreadable_operators_.resize(graph.operators.size());
  }

  std::vector<Problem> run() {
    check_limits();
    check_indices();
    for (size_t i = 0; i < graph_.tensors.size(); ++i)
      if (!unsound_[i]) collect([&] { check_tensor(graph_, static_cast<int>(i)); });
    collect([&] { check_activation_bytes(); });
    collect([&] {
      if (graph_.operators.empty()) file_error("the network has no operators");
      if (graph_.inputs.empty() || graph_.outputs.empty())
        file_error("the network needs an input and an output");
    });
    available_.assign(graph_.tensors.size(), false);
    for (size_t i = 0; i < graph_.tensors.size(); ++i) available_[i] = graph_.tensors[i].constant();
    for (const int input : graph_.inputs) {
      if (!is_unsound(input)) collect([&] { check_network_input(input); });
      available_[static_cast<size_t>(input)] = true;
    }
    for (size_t i = 0; i < graph_.operators.size(); ++i) {
      if (!touches_unsound(i)) collect([&] { check_operator(graph_, i, available_); });
      for (const int output : graph_.operators[i].outputs) available_[static_cast<size_t>(output)] = true;
    }
    for (const int output : graph_.outputs)
      if (!is_unsound(output)) collect([&] { check_network_output(output); });
    return std::move(problems_);
  }

 private:
  // A check ends at its first problem.
  template <typename Check>
  void collect(const Check& check) {
    try {
      check();
    } catch (const Problem& problem) {
      problems_.push_back(problem);
      if (problem.place == Problem::Place::Tensor) unsound_[static_cast<size_t>(problem.index)] = true;
    }
  }
  template <typename... Args>
  [[noreturn]] static void file_error(fmt::format_string<Args...> format, Args&&... args) {
    throw Problem{.why = fmt::format(format, std::forward<Args>(args)...)};
  }

  [[nodiscard]] bool is_unsound(int tensor) const {
    return tensor >= 0 && unsound_[static_cast<size_t>(tensor)];
  }
  [[nodiscard]] bool touches_unsound(size_t index) const {
    const Operator& op = graph_.operators[index];
    const auto unsound = [this](int tensor) { return is_unsound(tensor); };
    return unreadable_operators_[index] || std::ranges::any_of(op.inputs, unsound) ||
           std::ranges::any_of(op.outputs, unsound);
  }

  void check_index(int index, int smallest, std::string_view what) const {
    if (index < smallest || (index >= 0 && static_cast<size_t>(index) >= graph_.tensors.size()))
      throw_usage("{}: {} is tensor {}, but there are {} tensors", name_, what, index, graph_.tensors.size());
  }
  void check_indices() {
    constexpr int kAbsent = -1;  // some operators can do without some inputs
    for (size_t i = 0; i < graph_.operators.size(); ++i) {
      const Operator& op = graph_.operators[i];
      for (size_t k = 0; k < op.inputs.size(); ++k)
        check_index(op.inputs[k], kAbsent, fmt::format("input {} of operator {}", k, i));
      for (const int output : op.outputs) check_index(output, 0, fmt::format("the output of operator {}", i));
    }
    for (const int input : graph_.inputs) check_index(input, 0, "an input of the network");
    for (const int output : graph_.outputs) check_index(output, 0, "an output of the network");
  }

  void check_limits() const {
    if (graph_.tensors.size() > kMaximumTensors || graph_.operators.size() > kMaximumOperators)
      throw_usage("{}: the network has {} tensors and {} operators; at most {} and {} are supported", name_,
                  graph_.tensors.size(), graph_.operators.size(), kMaximumTensors, kMaximumOperators);
  }

  void check_activation_bytes() const {
    int64_t bytes = 0;
    for (size_t i = 0; i < graph_.tensors.size(); ++i)
      if (!unsound_[i] && !graph_.tensors[i].constant()) bytes += graph_.tensors[i].bytes();
    if (bytes > kMaximumActivationBytes)
      file_error("the network's activations take {} bytes in all; at most {} are supported", bytes,
                 kMaximumActivationBytes);
  }

  void check_network_input(int input) const {
    const Tensor& tensor = graph_.tensors[static_cast<size_t>(input)];
    if (tensor.constant()) tensor_error(graph_, input, "is an input of the network but holds data");
    if (tensor.dims.empty() || tensor.dims[0] != 1)
      tensor_error(graph_, input, "has shape {}; the batch, its first dimension, must be 1",
                   shape_text(tensor.dims));
    if (tensor.type == Type::Int32)
      tensor_error(graph_, input, "is an int32 input; int8 or float32 are supported");
    if (tensor.type == Type::Int8) check_grid(graph_, input);
  }
  void check_network_output(int output) const {
    const auto i = static_cast<size_t>(output);
    if (graph_.tensors[i].constant())
      tensor_error(graph_, output, "is an output of the network but holds data; an operator must compute it");
    if (!available_[i]) tensor_error(graph_, output, "is an output that no operator computes");
    if (graph_.tensors[i].type == Type::Int32)
      tensor_error(graph_, output, "is an int32 output; int8 or float32 are supported");
  }

  const QuantGraph& graph_;
  std::string_view name_;
  std::vector<bool> unsound_;  // tensors
  std::vector<bool> unreadable_operators_;
  std::vector<bool> available_;
  std::vector<Problem> problems_;
};

}  // namespace

std::vector<Problem> find_problems(const QuantGraph& graph, std::string_view name,
                                   const Unreadable& unreadable) {
  return Checker(graph, name, unreadable).run();
}

void throw_first(const std::vector<Problem>& problems, std::string_view name) {
  throw_usage("{}: {}", name, sentence(problems.front()));
}

void check(const QuantGraph& graph, std::string_view name) {
  if (const std::vector<Problem> problems = find_problems(graph, name); !problems.empty())
    throw_first(problems, name);
}

}  // namespace retort::int8
