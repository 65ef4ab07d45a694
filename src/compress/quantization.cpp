#include "compress/quantization.h"

#include <algorithm>
#include <variant>
#include <vector>

#include "base/error.h"

namespace retort::compress {
namespace {

constexpr size_t calibration_images = 2048;
constexpr size_t calibration_batch = 32;  // as training's, since a range grows with the batch
// Averages over the last ten batches or so: with training's 0.99 the first batch alone would count for half.
constexpr float calibration_momentum = 0.9F;

graph::Graph with_momentum(const graph::Graph& graph, float momentum) {
  graph::Graph result(graph.input_shape());
  for (int i = 1; i < graph.size(); ++i) {
    graph::Operator op = graph.node(i).op;
    if (auto* fake_quant = std::get_if<graph::FakeQuant>(&op)) fake_quant->momentum = momentum;
    result.add(op, graph.node(i).inputs);
  }
  return result;
}

// At most calibration_images of them, spread over the whole list, which may be sorted by class or difficulty.
std::vector<uint32_t> sample(std::span<const uint32_t> indices) {
  const size_t count = std::min(indices.size(), calibration_images);
  std::vector<uint32_t> chosen(count);
  for (size_t i = 0; i < count; ++i) chosen[i] = indices[i * indices.size() / count];
  return chosen;
}

}  // namespace

graph::QuantizedForm prepare_quantization(const graph::Graph& graph, const graph::Parameters& parameters,
                                          const data::Dataset& dataset, std::span<const uint32_t> indices,
                                          const engine::Backend& backend, float range_momentum) {
  if (indices.empty()) throw_usage("quantisation needs training images to find the ranges of activations");
  graph::QuantizedForm form = graph::quantized_form(graph, parameters);
  engine::CompileOptions options;
  options.batch_size = static_cast<int>(calibration_batch);
  const auto network = backend.compile(with_momentum(form.graph, calibration_momentum), options);
  network->set_parameters(form.parameters);

  const data::ImageSet& images = dataset.train;
  const std::vector<uint32_t> chosen = sample(indices);
  std::vector<uint8_t> pixels;
  std::vector<uint16_t> labels;
  Rng no_dropout(0);  // a quantised form has none
  for (size_t begin = 0; begin < chosen.size(); begin += calibration_batch) {
    pixels.clear();
    labels.clear();
    const auto batch = std::span(chosen).subspan(begin, std::min(calibration_batch, chosen.size() - begin));
    for (const uint32_t index : batch) {
      const auto image = images.image(index);
      pixels.insert(pixels.end(), image.begin(), image.end());
      labels.push_back(images.labels[index]);
    }
    // A step without its end: ranges move, weights do not.
    network->compute_gradients({pixels, labels, {}}, {}, no_dropout);
  }
  form.graph = with_momentum(form.graph, range_momentum);
  form.parameters = network->parameters();
  return form;
}

}  // namespace retort::compress
