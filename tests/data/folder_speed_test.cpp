// A large data set of the usual kind: all of CIFAR-10 as JPEG files.
#include <gtest/gtest.h>

#include <chrono>
#include <cstdlib>
#include <filesystem>
#include <iostream>

#include "base/error.h"
#include "data/fixtures.h"

namespace retort::data {
namespace {

namespace fs = std::filesystem;

// All of CIFAR-10 as train/<class> and test/<class>, unpacked once into the build folder; empty when the
// archive is not at hand.
fs::path cifar10_folder() {
  const char* variable = std::getenv("RETORT_SHARED");
  const fs::path shared =
      variable != nullptr ? fs::path(variable) : fs::path(RETORT_SOURCE_DIR) / "../shared";
  const fs::path archive = shared / "data/cifar10-jpeg.tar.xz";
  if (!fs::exists(archive)) return {};
  const fs::path folder = fs::path(RETORT_BINARY_DIR) / "cifar10-jpeg";
  if (fs::exists(folder)) return folder;
  const fs::path part = folder.string() + ".part";
  fs::remove_all(part);
  fs::create_directories(part);
  const std::string command =
      fmt::format("tar -xJf '{}' -C '{}'", fs::canonical(archive).string(), part.string());
  if (std::system(command.c_str()) != 0) throw_failure("{}: cannot be unpacked", archive.string());
  fs::rename(part, folder);
  return folder;
}

// Sixty thousand files are decoded within 30 s, and come back from the cache within 2 s.
TEST(SlowCifar, SixtyThousandJpegsLoadInTime) {
  const fs::path folder = cifar10_folder();
  if (folder.empty())
    GTEST_SKIP() << "there is no ../shared/data/cifar10-jpeg.tar.xz beside the repository, nor one in "
                    "$RETORT_SHARED/data";
#if defined(__SANITIZE_ADDRESS__) || defined(__SANITIZE_THREAD__)
  constexpr double kSlower = 100;
#else
  constexpr double kSlower = 1;
#endif
  const TestFolder cache;
  for (const char* options : {"?gray=1", ""}) {
    std::string first_hash;
    for (const double limit_seconds : {30.0, 2.0}) {
      const auto start = std::chrono::steady_clock::now();
      const auto dataset = load(fmt::format("images:{}{}", folder.string(), options));
      const double seconds = std::chrono::duration<double>(std::chrono::steady_clock::now() - start).count();
      std::cout << fmt::format("images:cifar10-jpeg{}: {:.2f} s of {} s\n", options, seconds, limit_seconds);
      EXPECT_EQ(dataset->train.count(), 50000U);
      EXPECT_EQ(dataset->test.count(), 10000U);
      EXPECT_EQ(content_hash(*dataset), dataset->content_hash);
      if (first_hash.empty()) first_hash = dataset->content_hash;
      EXPECT_EQ(dataset->content_hash, first_hash);
      EXPECT_LT(seconds, limit_seconds * kSlower);
    }
  }
}

}  // namespace
}  // namespace retort::data
