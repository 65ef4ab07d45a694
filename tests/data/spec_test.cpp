#include <gtest/gtest.h>

#include <algorithm>

#include "data/fixtures.h"
#include "data/reader.h"

namespace retort::data {
namespace {

TEST(Spec, TakesFormatFolderAndOptions) {
  const Spec spec = parse_spec("images:/a/b c?size=28x32&gray=1");
  EXPECT_EQ(spec.format, "images");
  EXPECT_EQ(spec.directory, "/a/b c");
  EXPECT_EQ(spec.height, 28);
  EXPECT_EQ(spec.width, 32);
  EXPECT_EQ(spec.gray, std::optional(true));
  EXPECT_EQ(spec.text, "images:/a/b c?size=28x32&gray=1");

  const Spec plain = parse_spec("fashion-mnist");
  EXPECT_EQ(plain.directory, "");
  EXPECT_EQ(plain.height, 0);
  EXPECT_EQ(plain.gray, std::nullopt);
  EXPECT_EQ(parse_spec("fashion-mnist?gray=0").gray, std::optional(false));
  EXPECT_EQ(parse_spec("npy:C:odd?name?gray=1").directory, "C:odd?name");
}

TEST(Spec, AQuestionMarkMayBelongToAFolderThatIsThere) {
  const TestFolder folder;
  std::filesystem::create_directory(folder / "which?");
  std::filesystem::create_directory(folder / "a?gray=2");
  for (const char* name : {"which?", "a?gray=2"}) {
    EXPECT_EQ(parse_spec("images:" + folder.at(name)).directory, folder.at(name));
    const Spec spec = parse_spec("images:" + folder.at(name) + "?size=8x9");
    EXPECT_EQ(spec.directory, folder.at(name));
    EXPECT_EQ(spec.width, 9);
  }
  EXPECT_NE(usage_error([&] { parse_spec("images:" + folder.at("when?")); }), "no error");
  // Known options are options, whatever is there.
  std::filesystem::create_directory(folder / "b?gray=1");
  EXPECT_EQ(parse_spec("images:" + folder.at("b?gray=1")).directory, folder.at("b"));
}

TEST(Spec, ExpandsTheHomeFolder) {
  const char* home = std::getenv("HOME");
  if (home == nullptr) GTEST_SKIP() << "no HOME";
  EXPECT_EQ(parse_spec("images:~/x").directory, std::string(home) + "/x");
  EXPECT_EQ(parse_spec("images:~x").directory, "~x");
}

TEST(Spec, NamesEveryReader) {
  const std::vector<std::string> names = reader_names();
  for (const char* name : {"cifar10", "fashion-mnist", "idx", "images", "npy"})
    EXPECT_EQ(std::count(names.begin(), names.end(), name), 1) << name;
}

TEST(Spec, RefusesWhatItDoesNotKnow) {
  const auto error = [](const char* text) { return usage_error([&] { parse_spec(text); }); };
  EXPECT_EQ(
      error("tfrecord:x"),
      "data \"tfrecord:x\": unknown format \"tfrecord\"; known are cifar10:DIR, fashion-mnist, idx:DIR, "
      "images:DIR, npy:DIR");
  EXPECT_EQ(
      error(""),
      "data \"\": unknown format \"\"; known are cifar10:DIR, fashion-mnist, idx:DIR, images:DIR, npy:DIR");
  EXPECT_EQ(error("images"), "data \"images\": a folder is missing; write images:DIR");
  EXPECT_EQ(error("idx:x?skip-bad=yes"),
            "data \"idx:x?skip-bad=yes\": skip-bad is \"yes\": write skip-bad=1 to leave broken images out");
  EXPECT_EQ(error("idx:x?skip-bad=1&skip-bad=1"),
            "data \"idx:x?skip-bad=1&skip-bad=1\": option \"skip-bad\" is given twice");
  EXPECT_EQ(error("images:"), "data \"images:\": a folder is missing; write images:DIR");
  EXPECT_EQ(error("fashion-mnist:"), "data \"fashion-mnist:\": a folder is missing; write fashion-mnist:DIR");
  EXPECT_EQ(
      error("idx:x?grey=1"),
      "data \"idx:x?grey=1\": unknown option \"grey\"; the options are size=HxW, gray=0|1 and skip-bad=0|1");
  EXPECT_EQ(error("idx:x?"), "data \"idx:x?\": no option follows the ?; remove it or write ?gray=1");
  EXPECT_EQ(error("idx:x?gray=1&&size=2x2"),
            "data \"idx:x?gray=1&&size=2x2\": unknown option \"\"; the options are size=HxW, gray=0|1 and "
            "skip-bad=0|1");
  EXPECT_EQ(error("idx:x?gray=yes"),
            "data \"idx:x?gray=yes\": gray is \"yes\": write gray=1 for grey images or gray=0 for RGB");
  EXPECT_EQ(error("idx:x?gray=1&gray=1"), "data \"idx:x?gray=1&gray=1\": option \"gray\" is given twice");
  for (const char* size : {"", "32", "32x", "x32", "0x8", "8x-1", "4097x1", "8x8x3", "8X8", "99999999999x1"})
    EXPECT_EQ(
        error(fmt::format("idx:x?size={}", size).c_str()),
        fmt::format("data \"idx:x?size={0}\": size is \"{0}\": write height x width, each 1 to 4096, like "
                    "size=32x32",
                    size));
}

TEST(Spec, IsFoundFromElsewhere) {
  TestFolder folder;
  std::filesystem::create_directories(folder / "photos");
  const std::string whole = "images:" + (folder / "photos").string() + "?gray=1";
  EXPECT_EQ(spec_from("images:photos?gray=1", folder.path()), whole);
  EXPECT_EQ(spec_from("images:gone?gray=1", folder.path()), "images:gone?gray=1");
  EXPECT_EQ(spec_from(whole, "/"), whole);
  for (const char* same : {"fashion-mnist", "fashion-mnist?gray=0", "images:~/photos", "images:"})
    EXPECT_EQ(spec_from(same, folder.path()), same);
  EXPECT_EQ(spec_from("images:photos", ""), "images:photos");
}

}  // namespace
}  // namespace retort::data
