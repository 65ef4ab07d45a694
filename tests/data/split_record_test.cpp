#include "data/split_record.h"

#include <gtest/gtest.h>

#include "base/json.h"
#include "base/rng.h"

namespace retort::data {
namespace {

void expect_equal(const SplitRecord& a, const SplitRecord& b) {
  EXPECT_EQ(a.options.seed, b.options.seed);
  EXPECT_EQ(a.options.validation_fraction, b.options.validation_fraction);
  EXPECT_EQ(a.options.most_validation_images, b.options.most_validation_images);
  EXPECT_EQ(a.options.test_fraction, b.options.test_fraction);
  EXPECT_EQ(a.train_images, b.train_images);
  EXPECT_EQ(a.validation_images, b.validation_images);
}

TEST(SplitRecord, IsReadAsItWasWritten) {
  Rng rng(4);
  for (int i = 0; i < 100; ++i) {
    SplitRecord record{.options = {.seed = UINT64_MAX - rng.next_u32(),
                                   .validation_fraction = rng.uniform(0, 1),
                                   .test_fraction = rng.uniform(0, 1)},
                       .train_images = rng.next_u32(),
                       .validation_images = rng.next_u32()};
    if (i % 2 == 0) record.options.most_validation_images = rng.next_u32();
    expect_equal(parse_json(dump_json(Json(record))).get<SplitRecord>(), record);
  }
}

TEST(SplitRecord, CountsWhatTheSplitGave) {
  const Split split{.train = {0, 2, 3}, .validation = {1, 4}, .test = {5}};
  const SplitRecord record = record_of({.seed = 7}, split);
  EXPECT_EQ(record.options.seed, 7U);
  EXPECT_EQ(record.train_images, 3);
  EXPECT_EQ(record.validation_images, 2);
}

TEST(SplitRecord, AnEarlierVersionHadNoBound) {
  Json json = SplitOptions{.most_validation_images = 5000};
  json.erase("most_validation_images");
  EXPECT_FALSE(json.get<SplitOptions>().most_validation_images);
}

TEST(SplitRecord, WhatIsNoneIsRefused) {
  const Json whole = record_of({}, {});
  for (const char* key :
       {"seed", "validation_fraction", "test_fraction", "train_images", "validation_images"}) {
    Json json = whole;
    json[key] = "text";
    EXPECT_THROW(static_cast<void>(json.get<SplitRecord>()), Json::exception) << key;
    json.erase(key);
    EXPECT_THROW(static_cast<void>(json.get<SplitRecord>()), Json::exception) << key;
  }
  EXPECT_THROW(static_cast<void>(Json("text").get<SplitRecord>()), Json::exception);
}

}  // namespace
}  // namespace retort::data
