#include "base/json.h"

#include <gtest/gtest.h>

namespace retort {
namespace {

TEST(Json, AnyBytesCanBeWritten) {
  const nlohmann::json json = {{"ä\xff", {"\xe4", 1}}};
  EXPECT_EQ(dump_json(json), "{\"ä\ufffd\":[\"\ufffd\",1]}");
  EXPECT_EQ(dump_json(nlohmann::ordered_json{{"a", 1}}, 1), "{\n \"a\": 1\n}");
}

TEST(Json, DepthIsThatOfBracketsOutsideOfStrings) {
  EXPECT_EQ(json_depth("1"), 0);
  EXPECT_EQ(json_depth(R"({"a": [1, {"b": "[[[{{{\"[["}], "c": []})"), 3);
  EXPECT_EQ(json_depth("]]]][["), 0);
  EXPECT_EQ(json_depth("\"[[\\"), 0);
}

TEST(Json, WhatIsNestedTooDeeplyIsRefusedBeforeItIsParsed) {
  EXPECT_EQ(parse_json(std::string(64, '[') + std::string(64, ']')).size(), 1U);
  const std::string deep = std::string(100'000, '[') + std::string(100'000, ']');
  try {
    parse_json(deep);
    FAIL();
  } catch (const nlohmann::json::exception& error) {
    EXPECT_NE(std::string(error.what()).find("nested more than 64 levels deep"), std::string::npos)
        << error.what();
  }
  EXPECT_THROW(parse_json("{"), nlohmann::json::exception);
}

}  // namespace
}  // namespace retort
