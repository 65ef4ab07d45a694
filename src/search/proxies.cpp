#include "search/proxies.h"

#include <algorithm>
#include <cmath>
#include <utility>
#include <variant>
#include <vector>

#include "graph/parameters.h"

namespace retort::search {
namespace {

// The network up to a node, its values as the answer.
graph::Graph beginning_of(const graph::Graph& graph, int node) {
  graph::Graph beginning(graph.input_shape());
  for (int i = 1; i <= node; ++i) beginning.add(graph.node(i).op, graph.node(i).inputs);
  if (!graph.node(node).shape.flat) beginning.add(graph::Flatten{}, {node});
  return beginning;
}

bool is_relu(const graph::Operator& op) {
  return std::holds_alternative<graph::Relu>(op) || std::holds_alternative<graph::Relu6>(op);
}

// Of a symmetric positive semidefinite matrix, by Gaussian elimination with the largest pivot.
double log_determinant(std::vector<double> matrix, size_t size) {
  double sum = 0;
  for (size_t k = 0; k < size; ++k) {
    size_t pivot = k;
    for (size_t i = k + 1; i < size; ++i)
      if (matrix[i * size + i] > matrix[pivot * size + pivot]) pivot = i;
    for (size_t j = 0; j < size; ++j) std::swap(matrix[k * size + j], matrix[pivot * size + j]);
    for (size_t i = 0; i < size; ++i) std::swap(matrix[i * size + k], matrix[i * size + pivot]);
    const double diagonal = std::max(matrix[k * size + k], 1e-12);
    sum += std::log(diagonal);
    for (size_t i = k + 1; i < size; ++i) {
      const double factor = matrix[i * size + k] / diagonal;
      for (size_t j = k; j < size; ++j) matrix[i * size + j] -= factor * matrix[k * size + j];
    }
  }
  return sum;
}

double activation_patterns(const graph::Graph& graph, const engine::Batch& batch,
                           const engine::Backend& backend, const Rng& rng) {
  const size_t images = batch.labels.size();
  std::vector<double> agreeing(images * images, 0);
  for (int node = 1; node < graph.size(); ++node) {
    if (!is_relu(graph.node(node).op)) continue;
    const graph::Graph beginning = beginning_of(graph, node);
    const auto network = backend.compile(beginning, {.batch_size = engine::kPredictsOnly});
    network->set_parameters(graph::initialize(beginning, rng));
    const auto units = static_cast<size_t>(beginning.classes());
    std::vector<float> values(images * units);
    network->predict(batch.images, values);
    for (size_t a = 0; a < images; ++a)
      for (size_t b = 0; b < images; ++b) {
        size_t same = 0;
        for (size_t unit = 0; unit < units; ++unit)
          same += (values[a * units + unit] > 0) == (values[b * units + unit] > 0) ? 1 : 0;
        agreeing[a * images + b] += static_cast<double>(same);
      }
  }
  return log_determinant(std::move(agreeing), images);
}

}  // namespace

Proxies measure_proxies(const graph::Graph& graph, const engine::Batch& batch, const engine::Backend& backend,
                        const Rng& rng) {
  Proxies proxies;
  const auto network = backend.compile(graph, {.batch_size = static_cast<int>(batch.labels.size())});
  const graph::Parameters weights = graph::initialize(graph, rng);
  network->set_parameters(weights);
  Rng dropout = rng.fork("dropout");
  network->compute_gradients(batch, {}, dropout);
  const graph::Parameters gradients = network->gradients();
  double squares = 0;
  for (const graph::ParameterSpec& spec : weights.specs()) {
    if (spec.role != graph::Role::Kernel) continue;
    for (size_t i = spec.offset; i < spec.offset + spec.size; ++i) {
      const double gradient = gradients.values()[i];
      squares += gradient * gradient;
      proxies.snip += std::abs(static_cast<double>(weights.values()[i]) * gradient);
    }
  }
  proxies.gradient_norm = std::sqrt(squares);
  proxies.activation_patterns = activation_patterns(graph, batch, backend, rng);
  return proxies;
}

}  // namespace retort::search
