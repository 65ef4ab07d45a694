#include "int8/evaluate.h"

#include <algorithm>
#include <atomic>
#include <chrono>

#include "base/error.h"
#include "base/memory.h"
#include "base/parallel.h"
#include "base/sizes.h"

namespace retort::int8 {
namespace {

constexpr size_t kChunkImages = 256;  // that one thread takes at a time
// The caller hears how many are done after one chunk a thread, and then about this often.
constexpr std::chrono::milliseconds kStretch{50};

// For so many threads beside the caller's; where memory is short, for fewer.
std::vector<Evaluator> copies_of(const Evaluator& evaluator, size_t count) {
  const uint64_t bytes = std::max<size_t>(evaluator.memory_bytes(), 1);
  // Half of what is left: the threads, and whatever else runs, need some too.
  if (count * bytes >= kSmallMemoryBytes) count = std::min<uint64_t>(count, memory_left() / 2 / bytes);
  return {count, evaluator};
}

void check(const Evaluator& evaluator, const Selection& selection) {
  const size_t bytes = evaluator.image_bytes();
  if (selection.images.size() % bytes != 0)
    throw_usage("{} bytes are no whole number of images: the int8 network takes {} bytes an image",
                selection.images.size(), bytes);
  const size_t count = selection.images.size() / bytes;
  for (const uint32_t index : selection.indices)
    if (index >= count) throw_usage("image {} was asked for, but there are {}", index, count);
}

}  // namespace

int predicted_class(std::span<const int8_t> outputs) {
  return static_cast<int>(std::max_element(outputs.begin(), outputs.end()) - outputs.begin());
}

std::vector<int8_t> run_all(Evaluator& evaluator, const Selection& selection, int threads,
                            const std::function<void(size_t done)>& between) {
  check(evaluator, selection);
  const size_t width = evaluator.outputs();
  const size_t count = selection.indices.size();
  const auto workers = static_cast<size_t>(threads < 1 ? available_cores() : threads);
  // Few images still share their work out.
  const size_t chunk = std::clamp<size_t>((count + workers - 1) / workers, 1, kChunkImages);
  const size_t wanted = std::clamp<size_t>((count + chunk - 1) / chunk, 1, workers);
  std::vector<Evaluator> copies = copies_of(evaluator, wanted - 1);
  const size_t evaluators = copies.size() + 1;

  std::vector<int8_t> outputs(count * width);
  size_t stretch = evaluators * chunk;
  for (size_t begin = 0; begin < count;) {
    const auto start = std::chrono::steady_clock::now();
    const size_t end = std::min(begin + stretch, count);
    std::atomic<size_t> next = begin;
    parallel_for(evaluators, 1, static_cast<int>(evaluators), [&](size_t i) {
      Evaluator& own = i == 0 ? evaluator : copies[i - 1];
      for (size_t first = next.fetch_add(chunk); first < end; first = next.fetch_add(chunk)) {
        const auto indices = selection.indices.subspan(first, std::min(chunk, end - first));
        own.run(selection.images, indices, std::span(outputs).subspan(first * width, indices.size() * width));
      }
    });
    if (between) between(end);
    begin = end;
    if (std::chrono::steady_clock::now() - start < kStretch / 2) stretch *= 2;
  }
  return outputs;
}

std::optional<std::vector<float>> real_outputs(const QuantGraph& graph, std::span<const int8_t> outputs) {
  const int output = graph.outputs.at(0);
  if (graph.tensors.at(static_cast<size_t>(output)).type == Type::Int8) return std::nullopt;
  const Operator& dequantize = *std::ranges::find_if(
      graph.operators, [&](const Operator& op) { return std::ranges::count(op.outputs, output) > 0; });
  const Tensor& before = graph.tensors.at(static_cast<size_t>(dequantize.inputs.at(0)));
  const auto scale = static_cast<double>(before.quantization.scales.at(0));
  const int64_t zero_point = before.quantization.zero_points.at(0);
  std::vector<float> real(outputs.size());
  std::ranges::transform(outputs, real.begin(), [&](int8_t value) {
    return static_cast<float>(scale * static_cast<double>(value - zero_point));
  });
  return real;
}

double accuracy(std::span<const int8_t> outputs, std::span<const uint32_t> indices,
                std::span<const uint16_t> labels) {
  if (indices.empty()) return 0;
  const size_t width = outputs.size() / indices.size();
  size_t correct = 0;
  for (size_t i = 0; i < indices.size(); ++i)
    if (predicted_class(outputs.subspan(i * width, width)) == static_cast<int>(labels[indices[i]])) ++correct;
  return static_cast<double>(correct) / static_cast<double>(indices.size());
}

}  // namespace retort::int8
