#include "int8/evaluate.h"

#include <algorithm>
#include <atomic>
#include <chrono>
#include <functional>

#include "base/error.h"
#include "base/parallel.h"
#include "int8/evaluator.h"

namespace retort::int8 {

namespace {

constexpr size_t kChunkImages = 256;

// Calls body(evaluator, first, count) for stretches of images, each thread with an evaluator of its own.
void for_each_chunk(const Evaluator& evaluator, size_t images, int threads,
                    const std::function<void(Evaluator&, size_t, size_t)>& body) {
  // Small sets still share their work out.
  const auto workers = static_cast<size_t>(threads < 1 ? available_cores() : threads);
  const size_t chunk = std::clamp<size_t>(images / workers + 1, 1, kChunkImages);
  const size_t chunks = (images + chunk - 1) / chunk;
  const size_t stretch = (chunks + workers - 1) / workers;
  const size_t stretches = stretch == 0 ? 0 : (chunks + stretch - 1) / stretch;
  parallel_for(stretches, 1, static_cast<int>(workers), [&](size_t s) {
    Evaluator own(evaluator);
    for (size_t c = s * stretch; c < std::min((s + 1) * stretch, chunks); ++c)
      body(own, c * chunk, std::min(chunk, images - c * chunk));
  });
}

void check_images(const Evaluator& evaluator, std::span<const uint8_t> images, size_t count) {
  if (images.size() != count * evaluator.image_bytes())
    throw_usage("{} images have {} bytes; the int8 network takes {} bytes an image", count, images.size(),
                evaluator.image_bytes());
}

template <typename Label>
EvalResult evaluate_labels(const QuantGraph& graph, std::span<const uint8_t> images,
                           std::span<const Label> labels, int threads) {
  const auto start = std::chrono::steady_clock::now();
  const Evaluator evaluator(graph);
  check_images(evaluator, images, labels.size());
  const size_t bytes = evaluator.image_bytes();
  const size_t classes = evaluator.outputs();
  std::atomic<size_t> correct = 0;
  for_each_chunk(evaluator, labels.size(), threads, [&](Evaluator& own, size_t first, size_t count) {
    std::vector<int8_t> outputs(count * classes);
    own.run(images.subspan(first * bytes, count * bytes), count, outputs);
    size_t right = 0;
    for (size_t i = 0; i < count; ++i)
      if (predicted_class(std::span(outputs).subspan(i * classes, classes)) ==
          static_cast<int>(labels[first + i]))
        ++right;
    correct += right;
  });
  EvalResult result;
  result.images = labels.size();
  result.correct = correct;
  if (labels.empty()) return result;
  result.accuracy = static_cast<double>(result.correct) / static_cast<double>(result.images);
  const std::chrono::duration<double> seconds = std::chrono::steady_clock::now() - start;
  result.images_per_second = static_cast<double>(result.images) / std::max(seconds.count(), 1e-9);
  return result;
}

}  // namespace

int predicted_class(std::span<const int8_t> outputs) {
  return static_cast<int>(std::max_element(outputs.begin(), outputs.end()) - outputs.begin());
}

EvalResult evaluate(const QuantGraph& graph, std::span<const uint8_t> images,
                    std::span<const uint16_t> labels, int threads) {
  return evaluate_labels(graph, images, labels, threads);
}

void run_all(const QuantGraph& graph, std::span<const uint8_t> images, size_t count, int threads,
             std::span<int8_t> outputs) {
  const Evaluator evaluator(graph);
  check_images(evaluator, images, count);
  const size_t bytes = evaluator.image_bytes();
  const size_t values = evaluator.outputs();
  if (outputs.size() != count * values)
    throw_usage("the room for {} outputs has {} values; the int8 network gives {} an image", count,
                outputs.size(), values);
  for_each_chunk(evaluator, count, threads, [&](Evaluator& own, size_t first, size_t some) {
    own.run(images.subspan(first * bytes, some * bytes), some,
            outputs.subspan(first * values, some * values));
  });
}

}  // namespace retort::int8
