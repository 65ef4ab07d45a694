#include "search/mistakes.h"

#include <gtest/gtest.h>

#include <algorithm>
#include <cmath>

#include "base/file.h"
#include "data/image_file.h"
#include "synthetic.h"
#include "temporary_folder.h"

namespace retort::search {
namespace {

// One pixel an image, whose value is its index.
data::ImageSet images_labelled(std::vector<uint16_t> labels) {
  data::ImageSet images{.shape = {1, 1, 1}, .pixels = {}, .labels = std::move(labels)};
  for (size_t i = 0; i < images.count(); ++i) images.pixels.push_back(static_cast<uint8_t>(i));
  return images;
}

// Rows of probabilities for the images of these indices.
Answers answers_of(std::vector<uint32_t> indices, const std::vector<std::vector<float>>& rows) {
  Answers answers{.classes = static_cast<int>(rows[0].size()), .indices = std::move(indices)};
  for (const std::vector<float>& row : rows) {
    answers.guesses.push_back(static_cast<int>(std::ranges::max_element(row) - row.begin()));
    answers.probabilities.insert(answers.probabilities.end(), row.begin(), row.end());
  }
  return answers;
}

TEST(Mistakes, AreCountedByClassAndTheMostConfidentShown) {
  // Image 5 is not asked about.
  const data::ImageSet images = images_labelled({0, 0, 1, 2, 1, 0});
  const Mistakes mistakes =
      find_mistakes(answers_of({4, 0, 1, 2, 3},
                               {
                                   {0.25F, 0.75F, 0},       // 4: right
                                   {0, 1, 0},               // 0: wrong, most confident
                                   {0.25F, 0.75F, 0},       // 1: wrong
                                   {0, 0.25F, 0.75F},       // 2: wrong, as sure, label as probable
                                   {0.75F, 0.125F, 0.125F}  // 3: wrong, label less probable
                               }),
                    images);
  EXPECT_EQ(mistakes.images, 5);
  EXPECT_EQ(mistakes.confusion, (std::vector<std::vector<int64_t>>{{0, 2, 0}, {0, 1, 1}, {1, 0, 0}}));
  std::vector<uint32_t> order;
  for (const ShownImage& image : mistakes.most_confident) order.push_back(image.index);
  EXPECT_EQ(order, (std::vector<uint32_t>{0, 3, 1, 2}));
  const ShownImage& second = mistakes.most_confident[1];
  EXPECT_EQ(second.label, 2);
  EXPECT_EQ(second.guess, 0);
  EXPECT_EQ(second.guess_probability, 0.75);
  EXPECT_EQ(second.label_probability, 0.125);
  EXPECT_EQ(data::decode_image(second.picture.png, "it").pixels, std::vector<uint8_t>{3});
}

TEST(Mistakes, NoMoreAreShownThanPeopleLookAt) {
  const std::vector<uint16_t> labels(100, 0);
  std::vector<uint32_t> indices;
  std::vector<std::vector<float>> rows;
  for (uint32_t i = 0; i < 100; ++i) {
    indices.push_back(i);
    rows.push_back({0.4F - 0.001F * static_cast<float>(i), 0.6F + 0.001F * static_cast<float>(i)});
  }
  const Mistakes mistakes = find_mistakes(answers_of(indices, rows), images_labelled(labels));
  ASSERT_EQ(mistakes.most_confident.size(), kShownImages);
  EXPECT_EQ(mistakes.most_confident.front().index, 99U);
}

TEST(Mistakes, AreNamedByTheirFilesWhereThereAreSome) {
  std::vector<ShownImage> images(2);
  images[0].index = 1;
  images[1].index = 5;
  name_files(images, {"a", "b"});
  EXPECT_EQ(images[0].file, "b");
  EXPECT_EQ(images[1].file, "") << "the folder has changed";
}

TEST(DoubtedLabels, AreThoseOffTheConfidentJointsDiagonal) {
  // Thresholds: (0.9 + 0.8 + 0.1 + 0.48) / 4 = 0.57 and (0.8 + 0.7 + 0.05) / 3 = 0.51666…
  const std::vector<uint16_t> labels = {0, 0, 0, 1, 1, 1, 0};
  std::vector<std::vector<float>> rows = {{0.9F, 0.1F}, {0.8F, 0.2F},   {0.1F, 0.9F},  {0.2F, 0.8F},
                                          {0.3F, 0.7F}, {0.95F, 0.05F}, {0.48F, 0.52F}};
  const DoubtedLabels found = doubt_labels(answers_of({0, 1, 2, 3, 4, 5, 6}, rows), images_labelled(labels));
  EXPECT_EQ(found.images, 7);
  EXPECT_EQ(found.doubted, 3);
  std::vector<uint32_t> order;
  for (const ShownImage& image : found.most) order.push_back(image.index);
  EXPECT_EQ(order, (std::vector<uint32_t>{5, 2, 6})) << "by margin: 0.9, 0.8, 0.04";
  EXPECT_EQ(found.most[0].label, 1);
  EXPECT_EQ(found.most[0].guess, 0);
  EXPECT_FLOAT_EQ(static_cast<float>(found.most[0].guess_probability), 0.95F);

  // A guess below its class's threshold doubts nothing, though it is the more probable class.
  rows[6] = {0.49F, 0.51F};
  EXPECT_EQ(doubt_labels(answers_of({0, 1, 2, 3, 4, 5, 6}, rows), images_labelled(labels)).doubted, 2);
}

TEST(DoubtedLabels, AClassWithoutImagesIsNoGuess) {
  const DoubtedLabels found =
      doubt_labels(answers_of({0, 1}, {{0.3F, 0.1F, 0.6F}, {0.1F, 0.3F, 0.6F}}), images_labelled({0, 1}));
  EXPECT_EQ(found.doubted, 0);
}

TEST(Analysis, ComesBackFromItsFolder) {
  const TemporaryFolder folder;
  EXPECT_FALSE(load_analysis(folder.path())) << "of a search that has not ended";
  const data::ImageSet images = images_labelled({0, 1, 1});
  const Answers answers = answers_of({0, 1, 2}, {{0.25F, 0.75F}, {0.5F, 0.5F}, {0, 1}});
  Mistakes mistakes = find_mistakes(answers, images);
  name_files(mistakes.most_confident, {"cat/1.png", "cat/2.png"});
  const Analysis analysis{.trial = 7,
                          .seed = 43,
                          .mistakes = mistakes,
                          .labels = {{.validation = doubt_labels(answers, images), .train = {}}}};
  save_analysis(folder.path(), analysis);
  const auto back = load_analysis(folder.path());
  ASSERT_TRUE(back);
  EXPECT_EQ(back->trial, 7);
  EXPECT_EQ(back->seed, 43U);
  EXPECT_EQ(back->mistakes.confusion, analysis.mistakes.confusion);
  ASSERT_EQ(back->mistakes.most_confident.size(), 2U);
  EXPECT_EQ(back->mistakes.most_confident[0].guess_probability, 0.75);
  EXPECT_EQ(back->mistakes.most_confident[0].picture.png, analysis.mistakes.most_confident[0].picture.png);
  EXPECT_EQ(back->mistakes.most_confident[0].file, "cat/1.png");
  ASSERT_TRUE(back->labels);
  EXPECT_EQ(back->labels->validation.doubted, analysis.labels->validation.doubted);

  save_analysis(folder.path(), {.mistakes = find_mistakes(answers, images), .labels = {}});
  EXPECT_FALSE(load_analysis(folder.path())->labels);
}

TEST(Analysis, DamageIsToldInOneSentence) {
  const TemporaryFolder folder;
  const std::string where = (folder.path() / "analysis.json").string() + ": is damaged (";
  for (
      const char* text :
      {"", "{}", "[1]",
       R"({"trial":0,"seed":1,"labels":null,"test":{"images":1,"confusion":[[1,0]],"most_confident":[]}})",
       R"({"trial":0,"seed":1,"labels":null,"test":{"images":1,"confusion":[[1]],"most_confident":[{"index":0,"file":"",
           "label":1,"guess":0,"guess_probability":1,"label_probability":0,"height":1,"width":1,"png":""}]}})",
       R"({"trial":0,"seed":1,"labels":null,"test":{"images":1,"confusion":[[1]],"most_confident":[{"index":0,"file":"",
           "label":0,"guess":0,"guess_probability":1,"label_probability":0,"height":1,"width":1,"png":"?"}]}})"}) {
    write_text_atomic(folder.path() / "analysis.json", text);
    const Thrown thrown = thrown_by([&] { static_cast<void>(load_analysis(folder.path())); });
    EXPECT_TRUE(thrown.sentence.starts_with(where)) << text << ": " << thrown.sentence;
  }
}

TEST(Softmax, IsStableAndSumsToOne) {
  const std::vector<float> even = softmax(std::vector<float>{1000, 1000, 1000, 1000});
  EXPECT_EQ(even, std::vector<float>(4, 0.25F));
  const std::vector<float> odd = softmax(std::vector<float>{0, std::log(3.0F)});
  EXPECT_FLOAT_EQ(odd[1], 0.75F);
}

}  // namespace
}  // namespace retort::search
