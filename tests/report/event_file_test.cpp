#include "report/event_file.h"

#include <gtest/gtest.h>

namespace retort::report {
namespace {

TEST(EventFile, TheChecksumIsCrc32c) {
  EXPECT_EQ(crc32c("123456789"), 0xE3069283U);
  // RFC 3720, B.4.
  EXPECT_EQ(crc32c(std::string(32, '\0')), 0x8A9136AAU);
  EXPECT_EQ(crc32c(std::string(32, '\xff')), 0x62A8AB43U);
}

TEST(EventFile, ARecordHasItsLengthAndMaskedChecksums) {
  using namespace std::string_view_literals;
  // The beginning of every event file that TensorFlow writes: a first event of 24 bytes.
  const std::string bytes = EventFile(0).bytes();
  ASSERT_EQ(bytes.size(), 12U + 24U + 4U);
  EXPECT_EQ(bytes.substr(0, 12), "\x18\0\0\0\0\0\0\0\xa3\x7fK\""sv);
  EXPECT_EQ(bytes.substr(12, 24),
            "\x09\0\0\0\0\0\0\0\0\x1a\x0d"
            "brain.Event:2"sv);
  EXPECT_EQ(tf_record(bytes.substr(12, 24)), bytes);
}

TEST(EventFile, AScalarIsAnEventWithItsTagAndThirtyTwoBits) {
  using namespace std::string_view_literals;
  EventFile file(0);
  const size_t before = file.bytes().size();
  file.scalar("a", 300, 1.5, 2.0);
  EXPECT_EQ(file.bytes().substr(before),
            tf_record("\x09\0\0\0\0\0\0\0\x40\x10\xac\x02\x2a\x0a\x0a\x08\x0a\x01"
                      "a\x15\0\0\xc0\x3f"sv));
}

}  // namespace
}  // namespace retort::report
