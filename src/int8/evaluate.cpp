#include "int8/evaluate.h"

#include <algorithm>

#include "base/error.h"
#include "base/parallel.h"

namespace retort::int8 {
namespace {

// Images that one thread takes at a time. After one such chunk a thread, the caller hears how many are done.
constexpr size_t kChunkImages = 256;

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

std::vector<int8_t> run_all(const Evaluator& evaluator, const Selection& selection, int threads,
                            const std::function<void(size_t done)>& between) {
  check(evaluator, selection);
  const size_t bytes = evaluator.image_bytes();
  const size_t width = evaluator.outputs();
  const size_t count = selection.indices.size();
  const auto workers = static_cast<size_t>(threads < 1 ? available_cores() : threads);
  // Few images still share their work out.
  const size_t chunk = std::clamp<size_t>((count + workers - 1) / workers, 1, kChunkImages);
  struct Worker {
    Evaluator evaluator;
    std::vector<uint8_t> pixels;
  };
  std::vector<Worker> own;
  own.reserve(workers);
  for (size_t i = 0; i < std::min(workers, (count + chunk - 1) / chunk); ++i)
    own.emplace_back(evaluator, std::vector<uint8_t>(chunk * bytes));

  std::vector<int8_t> outputs(count * width);
  const auto run_chunk = [&](Worker& worker, size_t first) {
    const auto indices = selection.indices.subspan(first, std::min(chunk, count - first));
    auto to = worker.pixels.begin();
    for (const uint32_t index : indices)
      to = std::ranges::copy(selection.images.subspan(index * bytes, bytes), to).out;
    worker.evaluator.run(std::span(worker.pixels).first(indices.size() * bytes), indices.size(),
                         std::span(outputs).subspan(first * width, indices.size() * width));
  };
  for (size_t begin = 0; begin < count; begin += own.size() * chunk) {
    const size_t end = std::min(begin + own.size() * chunk, count);
    const size_t chunks = (end - begin + chunk - 1) / chunk;
    parallel_for(chunks, 1, static_cast<int>(workers),
                 [&](size_t i) { run_chunk(own[i], begin + i * chunk); });
    if (between) between(end);
  }
  return outputs;
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
