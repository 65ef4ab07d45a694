#include "base/json.h"

#include <gtest/gtest.h>

#include <map>
#include <string>
#include <type_traits>
#include <vector>

namespace retort {
namespace {

TEST(Json, AnyBytesCanBeWritten) {
  const Json json = {{"ä\xff", {"\xe4", 1}}};
  EXPECT_EQ(dump_json(json), "{\"ä\ufffd\":[\"\ufffd\",1]}");
  EXPECT_EQ(dump_json(OrderedJson{{"a", 1}}, 1), "{\n \"a\": 1\n}");
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
  } catch (const Json::exception& error) {
    EXPECT_NE(std::string(error.what()).find("nested more than 64 levels deep"), std::string::npos)
        << error.what();
  }
  EXPECT_THROW(parse_json("{"), Json::exception);
}

TEST(Json, WhatIsNoObjectIsAnEmptyOne) {
  EXPECT_EQ(parse_json_object(R"({"a": 1})").at("a"), 1);
  for (const std::string& text :
       {std::string(), std::string("{"), std::string("[1]"), std::string(R"({"a": 1e999})"),
        R"({"a": )" + std::string(64, '[') + std::string(64, ']') + "}"})
    EXPECT_EQ(parse_json_object(text), Json::object()) << text;
}

template <typename T>
bool is_taken(const char* text) {
  try {
    static_cast<void>(parse_json(text).get<T>());
    return true;
  } catch (const Json::exception&) {
    return false;
  }
}

TEST(Json, WholeNumbersAreWholeAndFit) {
  EXPECT_EQ(parse_json("-3").get<int>(), -3);
  EXPECT_EQ(parse_json("18446744073709551615").get<uint64_t>(), 18446744073709551615U);
  EXPECT_EQ(Json(uint8_t{7}).dump(), "7");
  for (const char* text : {"1.5", "1e30", "-1e30", "3.0", "true", "\"3\"", "null", "2147483648"})
    EXPECT_FALSE(is_taken<int>(text)) << text;
  EXPECT_FALSE(is_taken<size_t>("-1"));
  EXPECT_FALSE(is_taken<uint8_t>("256"));
  EXPECT_FALSE(is_taken<std::vector<int>>("[1, 2, 1e30]"));
  EXPECT_FALSE((is_taken<std::map<std::string, int>>(R"({"a": 0.5})")));
  const Json named = parse_json(R"({"a": 1e30, "b": 2})");
  EXPECT_THROW(static_cast<void>(named.value("a", 1)), Json::exception);
  EXPECT_THROW(static_cast<void>(int{named.at("a")}), Json::exception);
  EXPECT_EQ(named.value("b", 1), 2);
  EXPECT_TRUE(is_taken<double>("3"));
  EXPECT_TRUE(is_taken<bool>("true"));
}

// A program that links the library keeps what nlohmann::json does elsewhere.
TEST(Json, IsATypeOfItsOwn) {
  EXPECT_EQ(nlohmann::json(1.5).get<int>(), 1);
  EXPECT_FALSE((std::is_same_v<Json, nlohmann::json>));
}

}  // namespace
}  // namespace retort
