#include <gtest/gtest.h>

#include <algorithm>
#include <cmath>
#include <numeric>

#include "data/fixtures.h"

namespace retort::data {
namespace {

Dataset random_dataset(Rng& rng, size_t test_images) {
  Dataset dataset;
  dataset.spec = "npy:somewhere";
  const uint32_t classes = 2 + rng.below(6);
  for (uint32_t c = 0; c < classes; ++c) {
    dataset.classes.push_back(std::to_string(c));
    dataset.train.labels.insert(dataset.train.labels.end(), 12 + rng.below(150), static_cast<uint16_t>(c));
  }
  rng.shuffle(std::span(dataset.train.labels));
  dataset.test.labels.resize(test_images);
  return dataset;
}

size_t members(const std::vector<uint32_t>& part, const Dataset& dataset, uint16_t label) {
  return static_cast<size_t>(
      std::count_if(part.begin(), part.end(), [&](uint32_t i) { return dataset.train.labels[i] == label; }));
}

TEST(Split, OfALargeSetNoMoreThanTheBoundValidate) {
  Rng rng(8);
  for (int trial = 0; trial < 50; ++trial) {
    const Dataset dataset = random_dataset(rng, trial % 2 == 0 ? 0 : 10);
    SplitOptions options{.validation_fraction = 0.3};
    const Split whole = stratified_split(dataset, options);
    options.most_validation_images = static_cast<int64_t>(whole.validation.size()) + 1;
    EXPECT_EQ(stratified_split(dataset, options).validation, whole.validation) << "the fraction is fewer";
    options.most_validation_images = static_cast<int64_t>(whole.validation.size()) * 2 / 3;
    const Split bounded = stratified_split(dataset, options);
    EXPECT_EQ(bounded.validation.size(), whole.validation.size() * 2 / 3);
    EXPECT_EQ(bounded.test, whole.test);
    EXPECT_EQ(bounded.train.size() + bounded.validation.size(), whole.train.size() + whole.validation.size());
    for (size_t c = 0; c < dataset.classes.size(); ++c) {
      const auto label = static_cast<uint16_t>(c);
      const auto share = static_cast<double>(members(whole.validation, dataset, label)) * 2 / 3;
      EXPECT_NEAR(static_cast<double>(members(bounded.validation, dataset, label)), share, 2);
    }
  }
  Dataset dataset;
  dataset.classes = {"a", "b"};
  dataset.train.labels = {0, 0, 0, 0, 1, 1, 1, 1};
  EXPECT_EQ(usage_error([&] { stratified_split(dataset, {.most_validation_images = 1}); }),
            "at most 1 validation images are too few for one of each of the 2 classes");
}

TEST(Split, IsDisjointCompleteStratifiedAndRepeatable) {
  Rng rng(5);
  for (int trial = 0; trial < 100; ++trial) {
    const Dataset dataset = random_dataset(rng, trial % 2 == 0 ? 0 : 10);
    SplitOptions options;
    options.seed = rng.next_u32();
    const Split split = stratified_split(dataset, options);

    std::vector<uint32_t> all;
    for (const auto* part : {&split.train, &split.validation, &split.test}) {
      EXPECT_TRUE(std::is_sorted(part->begin(), part->end()));
      all.insert(all.end(), part->begin(), part->end());
    }
    std::sort(all.begin(), all.end());
    std::vector<uint32_t> expected(dataset.train.count());
    std::iota(expected.begin(), expected.end(), 0U);
    EXPECT_EQ(all, expected);

    const double test_fraction = dataset.test.count() == 0 ? 0.15 : 0;
    const double total = static_cast<double>(dataset.train.count());
    EXPECT_EQ(split.test.size(), static_cast<size_t>(std::llround(total * test_fraction)));
    const double rest = total - static_cast<double>(split.test.size());
    EXPECT_EQ(split.validation.size(), static_cast<size_t>(std::llround(rest * 0.2)));
    for (size_t c = 0; c < dataset.classes.size(); ++c) {
      const auto label = static_cast<uint16_t>(c);
      const auto count =
          static_cast<double>(std::count(dataset.train.labels.begin(), dataset.train.labels.end(), label));
      const auto tested = static_cast<double>(members(split.test, dataset, label));
      EXPECT_LT(std::abs(tested - count * test_fraction), 1);
      EXPECT_LT(
          std::abs(static_cast<double>(members(split.validation, dataset, label)) - (count - tested) * 0.2),
          1);
    }

    const Split again = stratified_split(dataset, options);
    EXPECT_EQ(again.train, split.train);
    EXPECT_EQ(again.validation, split.validation);
    EXPECT_EQ(again.test, split.test);
    ++options.seed;
    EXPECT_NE(stratified_split(dataset, options).validation, split.validation);
  }
}

TEST(Split, OnAThousandOfEachClassTheSharesAreExact) {
  Dataset dataset;
  dataset.classes = {"a", "b"};
  dataset.train.labels.assign(2000, 0);
  std::fill(dataset.train.labels.begin() + 1000, dataset.train.labels.end(), uint16_t{1});
  const Split split = stratified_split(dataset, {});
  EXPECT_EQ(split.test.size(), 300U);
  EXPECT_EQ(split.validation.size(), 340U);
  EXPECT_EQ(members(split.train, dataset, 0), 680U);
}

TEST(Split, AFractionOfNoughtLeavesAPartEmpty) {
  Dataset dataset;
  dataset.classes = {"a", "b"};
  dataset.train.labels = {0, 1, 0, 1};
  SplitOptions options;
  options.test_fraction = 0;
  options.validation_fraction = 0;
  const Split split = stratified_split(dataset, options);
  EXPECT_EQ(split.train.size(), 4U);
  EXPECT_TRUE(split.validation.empty());
  EXPECT_TRUE(split.test.empty());
}

TEST(Split, ClassesOfTheNumberThatItNamesAreLargeEnough) {
  Dataset dataset;
  dataset.classes = {"cat", "dog", "elk"};
  SplitOptions options;
  const auto assign = [&](size_t cats, size_t dogs, size_t elks) {
    dataset.train.labels.assign(cats, 0);
    dataset.train.labels.insert(dataset.train.labels.end(), dogs, 1);
    dataset.train.labels.insert(dataset.train.labels.end(), elks, 2);
  };
  for (const double test : {0.01, 0.15, 0.3, 0.5, 0.9})
    for (const double validation : {0.01, 0.2, 0.5, 0.9}) {
      options.test_fraction = test;
      options.validation_fraction = validation;
      assign(1000, 1, 1000);
      const std::string sentence = usage_error([&] { stratified_split(dataset, options); });
      const size_t enough = std::stoul(sentence.substr(sentence.find("; ") + 2));
      for (size_t more = 0; more < 30; ++more) {
        assign(enough + more, enough, enough + 7 * more);
        EXPECT_EQ(usage_error([&] { stratified_split(dataset, options); }), "no error")
            << test << ' ' << validation;
      }
    }
}

TEST(Split, RefusesClassesThatAreTooSmallAndWrongFractions) {
  Dataset dataset;
  dataset.spec = "images:pets";
  dataset.classes = {"cat", "dog"};
  dataset.train.labels.assign(100, 0);
  dataset.train.labels.back() = 1;
  EXPECT_EQ(usage_error([&] { stratified_split(dataset, {}); }),
            "images:pets: class \"dog\" has 1 training image, too few to appear in every part of the split; "
            "7 are enough");
  SplitOptions options;
  options.validation_fraction = 1;
  EXPECT_EQ(usage_error([&] { stratified_split(dataset, options); }),
            "the validation fraction is 1: it must be at least 0 and below 1");
  options.validation_fraction = 0.2;
  options.test_fraction = std::nan("");
  EXPECT_EQ(usage_error([&] { stratified_split(dataset, options); }),
            "the test fraction is nan: it must be at least 0 and below 1");
}

}  // namespace
}  // namespace retort::data
