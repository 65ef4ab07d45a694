#include "base/base64.h"

#include <gtest/gtest.h>

#include "base/error.h"
#include "base/rng.h"

namespace retort {
namespace {

std::vector<uint8_t> bytes(std::string_view text) {
  return {text.begin(), text.end()};
}

// The examples of RFC 4648, section 10.
TEST(Base64, IsThatOfTheStandard) {
  EXPECT_EQ(to_base64(bytes("")), "");
  EXPECT_EQ(to_base64(bytes("f")), "Zg==");
  EXPECT_EQ(to_base64(bytes("fo")), "Zm8=");
  EXPECT_EQ(to_base64(bytes("foobar")), "Zm9vYmFy");
  EXPECT_EQ(to_base64(std::vector<uint8_t>{0xfb, 0xff, 0xbf}), "+/+/");
}

TEST(Base64, EverythingComesBack) {
  Rng rng(1);
  for (size_t length = 0; length < 70; ++length) {
    std::vector<uint8_t> data(length);
    for (uint8_t& byte : data) byte = static_cast<uint8_t>(rng.below(256));
    EXPECT_EQ(from_base64(to_base64(data)), data);
  }
}

TEST(Base64, RefusesWhatItDoesNotWrite) {
  for (const char* text : {"Z", "Zg=", "Zg", "====", "Z===", "Zh==", "Zm9v!m9v", "Zg==Zg==", "Zm 9v"})
    EXPECT_THROW(static_cast<void>(from_base64(text)), Error) << text;
}

}  // namespace
}  // namespace retort
