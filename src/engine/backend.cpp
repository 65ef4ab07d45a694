#include "engine/backend.h"

#include <fmt/ranges.h>

#include <algorithm>
#include <array>

#include "base/error.h"
#include "engine/cpu_backend.h"
#include "engine/kernels/kernels.h"
#include "engine/reference_backend.h"

namespace retort::engine {
namespace {

struct Entry {
  std::string_view name;
  std::unique_ptr<Backend> (*make)();
};
constexpr std::array<Entry, 2> table{{{"cpu", make_cpu_backend}, {"reference", make_reference_backend}}};

}  // namespace

const Backend& backend(std::string_view name) {
  static const std::vector<std::unique_ptr<Backend>> backends = [] {
    std::vector<std::unique_ptr<Backend>> made;
    for (const Entry& entry : table) made.push_back(entry.make());
    return made;
  }();
  for (size_t i = 0; i < table.size(); ++i)
    if (table[i].name == name) return *backends[i];
  throw_usage("there is no backend '{}'; known: {}", name, fmt::join(backend_names(), ", "));
}

Precision parse_precision(std::string_view name) {
  for (const Precision precision : {Precision::Float32, Precision::Bfloat16})
    if (name == to_string(precision)) return precision;
  throw_usage("there is no precision '{}'; known: float32, bfloat16", name);
}
std::string_view to_string(Precision precision) {
  return precision == Precision::Float32 ? "float32" : "bfloat16";
}

std::vector<std::string> backend_names() {
  std::vector<std::string> names;
  for (const Entry& entry : table) names.emplace_back(entry.name);
  return names;
}

void check_graph(const graph::Graph& graph, const CompileOptions& options) {
  if (options.batch_size < 1) throw_usage("batch size {}: at least 1 is needed", options.batch_size);
  if (options.threads < 1) throw_usage("{} threads: at least 1 is needed", options.threads);
  if (graph.size() < 2) throw_usage("a graph without operators can't be trained");
  const std::vector<int> readers = graph.consumer_counts();
  for (int i = 0; i < graph.size(); ++i)
    if (std::holds_alternative<graph::Softmax>(graph.node(i).op) && readers[static_cast<size_t>(i)] > 0)
      throw_usage("node {}: a softmax can only be the last node", i);
  for (int i = 0; i < graph.size(); ++i) {
    const auto* pool = std::get_if<graph::MaxPool>(&graph.node(i).op);
    if (pool == nullptr) continue;
    const graph::Window& window = pool->window;
    if (static_cast<int64_t>(window.kernel_height) * window.kernel_width > kernels::kMaxPoolMaximumCells)
      throw_usage("node {}: a max pool's window of {}×{} has more than {} cells", i, window.kernel_height,
                  window.kernel_width, kernels::kMaxPoolMaximumCells);
  }
  const graph::Shape& logits = graph.node(graph.logits()).shape;
  if (logits.height != 1 || logits.width != 1)
    throw_usage("node {}: the logits are {}; add a flatten or global_avg_pool before them", graph.logits(),
                to_string(logits));
}

void check_batch(const graph::Graph& graph, int batch_size, const Batch& batch, const Objective& objective) {
  const size_t count = batch.labels.size();
  const auto classes = static_cast<size_t>(graph.classes());
  const auto image_bytes = static_cast<size_t>(graph.input_shape().size());
  if (count < 1 || count > static_cast<size_t>(batch_size))
    throw_usage("a batch of {} images: the network was compiled for 1 to {}", count, batch_size);
  if (batch.images.size() != count * image_bytes)
    throw_usage("{} bytes of images for {} labels: {} images × {} bytes are needed", batch.images.size(),
                count, count, image_bytes);
  const auto label =
      std::find_if(batch.labels.begin(), batch.labels.end(), [&](auto l) { return l >= classes; });
  if (label != batch.labels.end()) throw_usage("label {}: the network has {} classes", *label, classes);
  if (!(objective.alpha >= 0 && objective.alpha <= 1))
    throw_usage("alpha {}: a number from 0 to 1 is needed", objective.alpha);
  if (objective.alpha == 1) return;
  if (!(objective.temperature > 0))
    throw_usage("temperature {}: a positive number is needed", objective.temperature);
  if (batch.teacher_logits.size() != count * classes)
    throw_usage("{} teacher logits for {} images: {} × {} classes are needed", batch.teacher_logits.size(),
                count, count, classes);
}

void check_layout(const graph::Parameters& expected, const graph::Parameters& parameters,
                  std::string_view what) {
  if (parameters.specs() != expected.specs())
    throw_usage("the {} belong to another graph: {} tensors with {} values, expected {} with {}", what,
                parameters.specs().size(), parameters.values().size(), expected.specs().size(),
                expected.values().size());
}

}  // namespace retort::engine
