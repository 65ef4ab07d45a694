#include "base/units.h"

#include <gtest/gtest.h>

#include "base/error.h"
#include "base/rng.h"

namespace retort {
namespace {

template <typename Function>
std::string usage_error(const Function& function) {
  try {
    function();
  } catch (const Error& error) {
    EXPECT_EQ(error.code(), ErrorCode::Usage);
    return error.what();
  }
  return "no error";
}

TEST(Units, ParsesBytes) {
  EXPECT_EQ(parse_bytes("0"), 0);
  EXPECT_EQ(parse_bytes("123"), 123);
  EXPECT_EQ(parse_bytes("123B"), 123);
  EXPECT_EQ(parse_bytes("7 bytes"), 7);
  for (const char* text : {"64K", "64k", "64KB", "64 KB", "64KiB", " 64kib "})
    EXPECT_EQ(parse_bytes(text), 65536);
  EXPECT_EQ(parse_bytes("1M"), 1048576);
  EXPECT_EQ(parse_bytes("1.5M"), 1572864);
  EXPECT_EQ(parse_bytes("2G"), int64_t{2} << 30);
}

TEST(Units, ParsesCounts) {
  EXPECT_EQ(parse_count("2M"), 2000000);
  EXPECT_EQ(parse_count("384K"), 384000);
  EXPECT_EQ(parse_count("0.5k"), 500);
  EXPECT_EQ(parse_count("1500"), 1500);
  EXPECT_EQ(parse_count("2.0"), 2);
}

TEST(Units, ParsesDurations) {
  EXPECT_DOUBLE_EQ(parse_duration("30m"), 1800);
  EXPECT_DOUBLE_EQ(parse_duration("8h"), 28800);
  EXPECT_DOUBLE_EQ(parse_duration("90s"), 90);
  EXPECT_DOUBLE_EQ(parse_duration("1h30m"), 5400);
  EXPECT_DOUBLE_EQ(parse_duration("1h 02m 3s"), 3723);
  EXPECT_DOUBLE_EQ(parse_duration("100ms"), 0.1);
  EXPECT_DOUBLE_EQ(parse_duration("2.5"), 2.5);
  EXPECT_DOUBLE_EQ(parse_duration("1d"), 86400);
}

TEST(Units, RefusesNonsenseWithAnExample) {
  for (const char* text : {"", " ", "K", "-1", "+1", "1e3", "1X", "1 K K", "1..2", "inf", "nan",
                           "99999999999G", "64Kx", "1KBB", "0x10", ".", "1.5", "0.5 bytes"})
    EXPECT_EQ(usage_error([&] { parse_bytes(text); }),
              fmt::format("\"{}\" is not a size in bytes: write it like 64K, 1.5M or 65536", text));
  for (const char* text : {"", "KB", "2MB", "-2", "2MM", "1e400", "1.5"})
    EXPECT_EQ(usage_error([&] { parse_count(text); }),
              fmt::format("\"{}\" is not a count: write it like 2M, 384K or 1500", text));
  for (const char* text : {"", "m", "-5m", "30m1h", "1h1h", "1h30", "5 weeks", "30 30", "1h,30m"})
    EXPECT_EQ(usage_error([&] { parse_duration(text); }),
              fmt::format("\"{}\" is not a duration: write it like 30m, 8h, 1h30m, 90s or 100ms", text));
}

TEST(Units, FormatsBytesAndCounts) {
  EXPECT_EQ(format_bytes(0), "0 B");
  EXPECT_EQ(format_bytes(1023), "1023 B");
  EXPECT_EQ(format_bytes(1024), "1.0 KB");
  EXPECT_EQ(format_bytes(11366), "11.1 KB");
  EXPECT_EQ(format_bytes(1048575), "1.0 MB");
  EXPECT_EQ(format_count(999), "999");
  EXPECT_EQ(format_count(12500000), "12.5 M");
  EXPECT_EQ(format_count(999999), "1.0 M");
  EXPECT_EQ(format_integer(325560), "325,560");
  EXPECT_EQ(format_integer(-1234567), "-1,234,567");
  EXPECT_EQ(format_integer(-123), "-123");
  EXPECT_EQ(format_integer(0), "0");
  EXPECT_EQ(format_integer(INT64_MIN), "-9,223,372,036,854,775,808");
}

TEST(Units, CountsThings) {
  EXPECT_EQ(format_counted(0, "image"), "0 images");
  EXPECT_EQ(format_counted(1, "image"), "1 image");
  EXPECT_EQ(format_counted(1234, "image"), "1,234 images");
  EXPECT_EQ(format_counted(1, "class", "classes"), "1 class");
  EXPECT_EQ(format_counted(2, "class", "classes"), "2 classes");
}

TEST(Units, FormatsDurations) {
  EXPECT_EQ(format_duration(0), "0.0s");
  EXPECT_EQ(format_duration(0.012), "12ms");
  EXPECT_EQ(format_duration(4.2), "4.2s");
  EXPECT_EQ(format_duration(59.96), "1m 00s");
  EXPECT_EQ(format_duration(200), "3m 20s");
  EXPECT_EQ(format_duration(3599.7), "1h 00m");
  EXPECT_EQ(format_duration(3720), "1h 02m");
  EXPECT_EQ(format_duration(-4.2), "-4.2s");
}

TEST(Units, ReadsBackWhatItWrites) {
  Rng rng(11);
  for (int i = 0; i < 1000; ++i) {
    const int64_t value = static_cast<int64_t>(rng.next_u32()) >> rng.below(32);
    EXPECT_NEAR(static_cast<double>(parse_bytes(format_bytes(value))), static_cast<double>(value),
                0.051 * static_cast<double>(value) + 1e-9);
    EXPECT_NEAR(static_cast<double>(parse_count(format_count(value))), static_cast<double>(value),
                0.051 * static_cast<double>(value) + 1e-9);
    const double seconds = rng.uniform(0.1F, 100000);
    EXPECT_NEAR(parse_duration(format_duration(seconds)), seconds, 0.05 * seconds + 0.05);
  }
}

}  // namespace
}  // namespace retort
