#include <algorithm>
#include <cmath>
#include <numeric>

#include "base/error.h"
#include "base/rng.h"
#include "data/dataset.h"

namespace retort::data {
namespace {

// Largest remainder: floor of every class's share, then one more for those that lost most, until the shares
// sum to the rounded whole. Ties go to the lower class.
std::vector<size_t> shares(const std::vector<size_t>& counts, double fraction) {
  std::vector<size_t> result(counts.size());
  std::vector<double> lost(counts.size());
  size_t total = 0;
  size_t given = 0;
  for (size_t c = 0; c < counts.size(); ++c) {
    const double share = fraction * static_cast<double>(counts[c]);
    result[c] = static_cast<size_t>(share);
    lost[c] = share - std::floor(share);
    total += counts[c];
    given += result[c];
  }
  const auto whole = static_cast<size_t>(std::llround(fraction * static_cast<double>(total)));
  std::vector<size_t> order(counts.size());
  std::iota(order.begin(), order.end(), size_t{0});
  std::sort(order.begin(), order.end(),
            [&](size_t a, size_t b) { return lost[a] != lost[b] ? lost[a] > lost[b] : a < b; });
  for (size_t i = 0; i < order.size() && given < whole; ++i, ++given) ++result[order[i]];
  return result;
}

void check_fraction(double fraction, std::string_view name) {
  if (!(fraction >= 0 && fraction < 1))
    throw_usage("the {} fraction is {}: it must be at least 0 and below 1", name, fraction);
}

// A number of images of a class from which on no rounding leaves a part of the split without one.
size_t enough_images(double test_fraction, double validation_fraction) {
  constexpr size_t kMost = 1'000'000;  // fractions of almost 0 or 1
  const auto share = [](double fraction, size_t count) {
    return static_cast<size_t>(fraction * static_cast<double>(count));
  };
  size_t count = 1;
  for (; count < kMost; ++count) {
    const size_t test = share(test_fraction, count);
    if (test_fraction > 0 && test == 0) continue;
    const size_t rest = count - test - (test_fraction > 0 ? 1 : 0);  // rounding may give one more
    const size_t validation = share(validation_fraction, rest);
    if ((validation_fraction == 0 || validation > 0) && validation + 1 < rest) break;
  }
  return count;
}

// Of the images of these classes.
double validation_fraction(const SplitOptions& options, const std::vector<size_t>& counts) {
  if (!options.most_validation_images) return options.validation_fraction;
  const int64_t most = *options.most_validation_images;
  if (most < static_cast<int64_t>(counts.size()))
    throw_usage("at most {} validation images are too few for one of each of the {} classes", most,
                counts.size());
  const auto images = static_cast<double>(std::accumulate(counts.begin(), counts.end(), size_t{0}));
  return std::min(options.validation_fraction, static_cast<double>(most) / std::max(images, 1.0));
}

}  // namespace

Split stratified_split(const Dataset& dataset, const SplitOptions& options) {
  check_fraction(options.validation_fraction, "validation");
  check_fraction(options.test_fraction, "test");
  const size_t classes = dataset.classes.size();
  std::vector<std::vector<uint32_t>> members(classes);
  for (size_t i = 0; i < dataset.train.count(); ++i)
    members[dataset.train.labels[i]].push_back(static_cast<uint32_t>(i));

  std::vector<size_t> counts(classes);
  for (size_t c = 0; c < classes; ++c) counts[c] = members[c].size();
  const double test_fraction = dataset.test.count() == 0 ? options.test_fraction : 0;
  const std::vector<size_t> test = shares(counts, test_fraction);
  std::vector<size_t> rest(classes);
  for (size_t c = 0; c < classes; ++c) rest[c] = counts[c] - test[c];
  const double fraction = validation_fraction(options, rest);
  const std::vector<size_t> validation = shares(rest, fraction);

  const Rng rng = Rng(options.seed).fork("split");
  Split split;
  for (size_t c = 0; c < classes; ++c) {
    if ((test[c] == 0 && test_fraction > 0) || (validation[c] == 0 && fraction > 0) ||
        validation[c] == rest[c])
      throw_usage(
          "{}: class \"{}\" has {} training image{}, too few to appear in every part of the split; {} are "
          "enough",
          dataset.spec, dataset.classes[c], counts[c], counts[c] == 1 ? "" : "s",
          enough_images(test_fraction, fraction));
    rng.fork("class", c).shuffle(std::span(members[c]));
    const auto test_end = members[c].begin() + static_cast<std::ptrdiff_t>(test[c]);
    const auto validation_end = test_end + static_cast<std::ptrdiff_t>(validation[c]);
    split.test.insert(split.test.end(), members[c].begin(), test_end);
    split.validation.insert(split.validation.end(), test_end, validation_end);
    split.train.insert(split.train.end(), validation_end, members[c].end());
  }
  for (auto* part : {&split.train, &split.validation, &split.test}) std::sort(part->begin(), part->end());
  return split;
}

}  // namespace retort::data
