#include "base/json.h"

#include <gtest/gtest.h>

namespace retort {
namespace {

TEST(Json, AnyBytesCanBeWritten) {
  const nlohmann::json json = {{"ä\xff", {"\xe4", 1}}};
  EXPECT_EQ(dump_json(json), "{\"ä\ufffd\":[\"\ufffd\",1]}");
  EXPECT_EQ(dump_json(nlohmann::ordered_json{{"a", 1}}, 1), "{\n \"a\": 1\n}");
}

}  // namespace
}  // namespace retort
