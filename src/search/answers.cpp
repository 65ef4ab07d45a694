#include "search/answers.h"

#include <algorithm>
#include <cmath>
#include <variant>

#include "base/error.h"
#include "int8/evaluate.h"
#include "int8/tflite.h"

namespace retort::search {
namespace {

// Where the integers of the network's output come from.
struct Output {
  float scale = 1;
  int64_t zero_point = 0;
  bool is_softmax = false;
};

Output output_of(const int8::QuantGraph& graph) {
  int tensor = graph.outputs.front();
  const auto maker = [&] {
    return std::ranges::find_if(graph.operators,
                                [&](const int8::Operator& op) { return op.outputs.front() == tensor; });
  };
  auto op = maker();
  if (op != graph.operators.end() && std::holds_alternative<int8::Dequantize>(op->kind)) {
    tensor = op->inputs.front();
    op = maker();
  }
  const int8::Quantization& quantization = graph.tensors.at(static_cast<size_t>(tensor)).quantization;
  return {quantization.scales.front(), quantization.zero_points.front(),
          op != graph.operators.end() && std::holds_alternative<int8::SoftmaxOp>(op->kind)};
}

}  // namespace

std::vector<float> softmax(std::span<const float> logits) {
  std::vector<float> probabilities(logits.begin(), logits.end());
  const float largest = *std::ranges::max_element(logits);
  float sum = 0;
  for (float& value : probabilities) sum += value = std::exp(value - largest);
  for (float& value : probabilities) value /= sum;
  return probabilities;
}

Answers int8_answers(std::span<const uint8_t> tflite, const data::ImageSet& images,
                     std::span<const uint32_t> indices, std::stop_token stop) {
  const int8::QuantGraph graph = int8::read_tflite(tflite, "the exported model");
  int8::Evaluator evaluator(graph);
  const std::vector<int8_t> outputs =
      int8::run_all(evaluator, {.images = images.pixels, .indices = indices}, 1, [&](size_t) {
        if (stop.stop_requested()) throw Error(ErrorCode::Interrupted, "evaluation was interrupted");
      });
  const Output output = output_of(graph);
  const size_t classes = evaluator.outputs();
  Answers answers{.classes = static_cast<int>(classes),
                  .indices = {indices.begin(), indices.end()},
                  .guesses = {},
                  .probabilities = {},
                  .accuracy = int8::accuracy(outputs, indices, images.labels)};
  answers.probabilities.reserve(outputs.size());
  for (size_t i = 0; i < indices.size(); ++i) {
    const std::span<const int8_t> row(outputs.data() + i * classes, classes);
    answers.guesses.push_back(int8::predicted_class(row));
    std::vector<float> values;
    for (const int8_t value : row)
      values.push_back(output.scale * static_cast<float>(value - output.zero_point));
    if (!output.is_softmax) values = softmax(values);
    answers.probabilities.insert(answers.probabilities.end(), values.begin(), values.end());
  }
  return answers;
}

}  // namespace retort::search
