#include "data/curriculum.h"

#include <algorithm>
#include <cassert>
#include <cmath>

#include "base/error.h"

namespace retort::data {

std::vector<float> prediction_entropies(std::span<const float> logits, size_t classes) {
  if (classes == 0 || logits.size() % classes != 0)
    throw_usage("{} logits do not make rows of {} classes", logits.size(), classes);
  std::vector<float> entropies(logits.size() / classes);
  std::vector<double> exponentials(classes);
  for (size_t row = 0; row < entropies.size(); ++row) {
    const std::span<const float> values = logits.subspan(row * classes, classes);
    if (!std::all_of(values.begin(), values.end(), [](float value) { return std::isfinite(value); }))
      throw_usage("the logits of image {} hold a value that is no finite number", row);
    const double largest = *std::max_element(values.begin(), values.end());
    double sum = 0;
    for (size_t c = 0; c < classes; ++c) sum += exponentials[c] = std::exp(values[c] - largest);
    double entropy = 0;
    for (const double exponential : exponentials)
      entropy -= exponential / sum * std::log(exponential / sum + 1e-10);
    entropies[row] = static_cast<float>(entropy);
  }
  return entropies;
}

std::vector<uint32_t> easy_first(std::span<const uint32_t> indices, std::span<const float> entropies) {
  std::vector<uint32_t> order(indices.begin(), indices.end());
  assert(std::all_of(order.begin(), order.end(), [&](uint32_t index) { return index < entropies.size(); }));
  std::sort(order.begin(), order.end(), [&](uint32_t a, uint32_t b) {
    return entropies[a] != entropies[b] ? entropies[a] < entropies[b] : a < b;
  });
  return order;
}

std::vector<uint32_t> random_order(std::span<const uint32_t> indices, Rng rng) {
  std::vector<uint32_t> order(indices.begin(), indices.end());
  rng.shuffle(std::span(order));
  return order;
}

size_t usable_images(size_t count, double t, const Pacing& pacing) {
  if (count == 0) return 0;
  const double growth = pacing.full_after > 0 ? std::clamp(t / pacing.full_after, 0.0, 1.0) : 1.0;
  const double share = pacing.first_share + (1 - pacing.first_share) * growth;
  const auto usable = static_cast<size_t>(std::ceil(share * static_cast<double>(count) - 1e-9));
  return std::clamp<size_t>(usable, 1, count);
}

}  // namespace retort::data
