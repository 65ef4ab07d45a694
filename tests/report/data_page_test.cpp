#include "report/data_page.h"

#include <gtest/gtest.h>

namespace retort::report {
namespace {

data::Inspection sample(size_t classes) {
  auto dataset = std::make_shared<data::Dataset>();
  data::Inspection inspection;
  inspection.spec = "images:<a & b>";
  for (size_t c = 0; c < classes; ++c) {
    dataset->classes.push_back("class <" + std::to_string(c) + ">");
    for (int i = 0; i < 3; ++i) {
      dataset->train.labels.push_back(static_cast<uint16_t>(c));
      inspection.survey.train.push_back({"/x/'" + std::to_string(c) + "'/\xff.png", {4, 4, 1}, ""});
    }
    inspection.train_counts.push_back(3);
    inspection.test_counts.push_back(0);
  }
  dataset->train.shape = {4, 4, 1};
  dataset->train.pixels.resize(dataset->train.count() * 16, 100);
  inspection.dataset = dataset;
  return inspection;
}

size_t count(const std::string& text, std::string_view part) {
  size_t found = 0;
  for (size_t at = text.find(part); at != std::string::npos; at = text.find(part, at + 1)) ++found;
  return found;
}

TEST(DataPage, ShowsASampleOfEachClassAndEscapesNames) {
  const std::string page = data_page(sample(3));
  EXPECT_EQ(count(page, "<img "), 9U);
  EXPECT_EQ(count(page, " alt='/x/&#39;") + count(page, " alt='/x/&apos;"), 9U);
  EXPECT_NE(page.find("<title>Retort: images:&lt;a &amp; b&gt;</title>"), std::string::npos);
  EXPECT_EQ(page.find("class <0>"), std::string::npos);
  EXPECT_EQ(page.find('\xff'), std::string::npos);  // all of it is UTF-8
  EXPECT_NE(page.find("Ready to train on."), std::string::npos);
  EXPECT_EQ(page.find("://"), std::string::npos);  // nothing from the network
}

TEST(DataPage, IsBoundedForManyClasses) {
  const std::string page = data_page(sample(3000));
  EXPECT_LE(count(page, "<img "), 480U);
  EXPECT_NE(page.find("The first 480 of 3000 classes."), std::string::npos);
}

TEST(DataPage, ShowsCopiesAndWhatIsBrokenWithItsReason) {
  data::Inspection inspection = sample(2);
  inspection.copies.push_back(
      {{{data::SetName::Train, 0}, {data::SetName::Train, 4}}, data::CopyKind::OtherClasses});
  inspection.survey.left_out = {{"/x/a<b.png", "broken PNG: the file is truncated"}};
  inspection.problems = {{"left-out", "1 thing", {"/x/a<b.png: broken"}}};
  const std::string page = data_page(inspection);
  EXPECT_NE(page.find("One problem would spoil a training."), std::string::npos);
  EXPECT_NE(page.find("Under different classes"), std::string::npos);
  EXPECT_NE(page.find("<b>2</b><span>more than once</span>"), std::string::npos)
      << "images, as in the sentences";
  EXPECT_NE(page.find("<b>…/x/a&lt;b.png</b><br>broken PNG: the file is truncated"), std::string::npos);
  EXPECT_EQ(count(page, "<figure"), 3U);
}

TEST(DataPage, ShowsNearCopiesApartFromCopies) {
  data::Inspection inspection = sample(2);
  inspection.near_copies.push_back(
      {{{data::SetName::Train, 0}, {data::SetName::Train, 1}}, data::CopyKind::SameClass});
  const std::string page = data_page(inspection);
  EXPECT_NE(page.find("<h2>Nearly the same picture</h2>"), std::string::npos);
  EXPECT_EQ(page.find("<h2>The same picture more than once</h2>"), std::string::npos);
  EXPECT_NE(page.find("<b>1</b><span>nearly the same</span>"), std::string::npos);
}

TEST(DataPage, OfDataThatCannotBeReadListsWhy) {
  data::Inspection inspection;
  inspection.spec = "images:x";
  inspection.survey.left_out = {{"x/1.png", "is empty"}};
  inspection.problems = {{"refused", "no", {}}};
  EXPECT_NE(data_page(inspection).find("is empty"), std::string::npos);
}

}  // namespace
}  // namespace retort::report
