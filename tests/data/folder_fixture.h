// What the tests of folders of images share: a folder of pets, and what is said while it is read.
#pragma once

#include <gtest/gtest.h>

#include <cstdint>
#include <filesystem>
#include <mutex>
#include <string>
#include <string_view>
#include <vector>

#include "base/file.h"
#include "base/progress.h"
#include "base/rng.h"
#include "data/fixtures.h"

namespace retort::data {

inline constexpr ImageShape kRgb = {6, 5, 3};
inline constexpr ImageShape kGray = {6, 5, 1};

// Keeps what it was told.
class Recorder final : public ProgressSink {
 public:
  void update(std::string_view task, double done, double total, std::string_view) override {
    const std::lock_guard lock(mutex_);
    ++updates;
    last_task = task;
    last_share = done / total;
  }
  void message(std::string_view text) override {
    const std::lock_guard lock(mutex_);
    messages.emplace_back(text);
  }
  int updates = 0;
  std::string last_task;
  double last_share = 0;
  std::vector<std::string> messages;

 private:
  std::mutex mutex_;
};

class Folder : public testing::Test {
 protected:
  std::vector<uint8_t> png(ImageShape shape = kRgb) {
    return encode_png(random_bytes(shape.bytes(), rng_), shape);
  }
  void write(const std::string& name, const std::vector<uint8_t>& bytes) {
    write_bytes(folder_ / name, bytes);
  }
  // cat/ and dog/ with `count` images each, below `under`.
  void write_pets(const std::string& under = "", int count = 3) {
    for (const char* name : {"cat", "dog"})
      for (int i = 0; i < count; ++i) write(fmt::format("{}{}/{}.png", under, name, i), png());
  }
  [[nodiscard]] std::string root() const { return folder_.path().string(); }
  [[nodiscard]] std::string spec() const { return "images:" + root(); }
  [[nodiscard]] std::string error() const { return load_error(spec()); }
  [[nodiscard]] std::filesystem::path cache_file() const {
    for (const auto& entry : std::filesystem::directory_iterator(cache_directory())) return entry.path();
    return {};
  }

  TestFolder folder_;
  Rng rng_{18};
};

}  // namespace retort::data
