#include "search/mistakes.h"

#include <algorithm>
#include <tuple>
#include <utility>

namespace retort::search {
namespace {

constexpr int kMostSide = 96;  // pixels of a picture

// `position`: of the image among the answers.
ShownImage shown(const Answers& answers, const data::ImageSet& images, size_t position, int guess) {
  const uint32_t index = answers.indices[position];
  const int label = images.labels[index];
  const auto row = answers.row(position);
  return {.index = index,
          .file = {},
          .label = label,
          .guess = guess,
          .guess_probability = row[static_cast<size_t>(guess)],
          .label_probability = row[static_cast<size_t>(label)],
          .picture = {}};
}

// The first of them in this order, with their pictures.
template <typename Key>
std::vector<ShownImage> first_of(std::vector<ShownImage> all, const data::ImageSet& images, Key key) {
  const size_t count = std::min(all.size(), kShownImages);
  std::ranges::partial_sort(all, all.begin() + static_cast<std::ptrdiff_t>(count), {}, key);
  all.resize(count);
  for (ShownImage& image : all)
    image.picture = data::thumbnail(images.image(image.index), images.shape, kMostSide);
  return all;
}

}  // namespace

Mistakes find_mistakes(const Answers& answers, const data::ImageSet& images) {
  const auto classes = static_cast<size_t>(answers.classes);
  Mistakes mistakes{.images = static_cast<int64_t>(answers.indices.size()),
                    .confusion = std::vector(classes, std::vector<int64_t>(classes)),
                    .most_confident = {}};
  std::vector<ShownImage> wrong;
  for (size_t i = 0; i < answers.indices.size(); ++i) {
    const ShownImage image = shown(answers, images, i, answers.guesses[i]);
    ++mistakes.confusion[static_cast<size_t>(image.label)][static_cast<size_t>(image.guess)];
    if (image.guess != image.label) wrong.push_back(image);
  }
  mistakes.most_confident = first_of(std::move(wrong), images, [](const ShownImage& image) {
    return std::tuple(-image.guess_probability, image.label_probability, image.index);
  });
  return mistakes;
}

void name_files(std::vector<ShownImage>& images, const std::vector<std::string>& files) {
  for (ShownImage& image : images)
    if (image.index < files.size()) image.file = files[image.index];
}

DoubtedLabels doubt_labels(const Answers& answers, const data::ImageSet& images) {
  const auto classes = static_cast<size_t>(answers.classes);
  std::vector<double> thresholds(classes);
  std::vector<int64_t> counts(classes);
  for (size_t i = 0; i < answers.indices.size(); ++i) {
    const size_t label = images.labels[answers.indices[i]];
    thresholds[label] += answers.row(i)[label];
    ++counts[label];
  }
  for (size_t c = 0; c < classes; ++c) thresholds[c] /= static_cast<double>(std::max<int64_t>(counts[c], 1));
  std::vector<ShownImage> doubted;
  for (size_t i = 0; i < answers.indices.size(); ++i) {
    const auto row = answers.row(i);
    int guess = -1;
    for (size_t c = 0; c < classes; ++c)
      if (counts[c] > 0 && row[c] >= thresholds[c] && (guess < 0 || row[c] > row[static_cast<size_t>(guess)]))
        guess = static_cast<int>(c);
    if (guess >= 0 && guess != images.labels[answers.indices[i]])
      doubted.push_back(shown(answers, images, i, guess));
  }
  const auto count = static_cast<int64_t>(doubted.size());
  return {.images = static_cast<int64_t>(answers.indices.size()),
          .doubted = count,
          .most = first_of(std::move(doubted), images, [](const ShownImage& image) {
            return std::tuple(image.label_probability - image.guess_probability, image.index);
          })};
}

}  // namespace retort::search
