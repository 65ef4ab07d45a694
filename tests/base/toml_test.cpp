#include "base/toml.h"

#include <fmt/format.h>
#include <gtest/gtest.h>

#include <filesystem>
#include <string>
#include <utility>

#include "base/error.h"
#include "base/file.h"
#include "temporary_folder.h"

namespace retort {
namespace {

std::string sentence(std::string_view text) {
  try {
    parse_toml(text, "file");
  } catch (const Error& error) {
    return error.code() == ErrorCode::Usage ? error.what() : "another code";
  }
  return "no error";
}

TEST(Toml, IsRead) {
  EXPECT_EQ(parse_toml("a = 1\n[b]\nc = 'd'\n", "file")["b"]["c"].value<std::string>(), "d");
  EXPECT_EQ(sentence(""), "no error");
}

TEST(Toml, LettersOfAllLanguagesAreForStringsAndComments) {
  EXPECT_EQ(sentence("\xef\xbb\xbf# ä\na = \"ä\\\"ä\" # '\nb = 'ä\\'\nc = \"\"\"\nä\"\"\\\nä\"\"\"\"\"\nd = "
                     "'''ä''ä'''\n\"ä\" = 1\n"),
            "no error");
  for (const char* text : {"x = 1\n\nf= \u0387"
                           "100",
                           "x = 1\n\nä = 1", "a = '''\nä'''''\nä"})
    EXPECT_EQ(sentence(text),
              "file:3: this is no TOML: a letter that is not ASCII stands outside quotation marks")
        << text;
}

TEST(Toml, LettersOfAllLanguagesComeThrough) {
  const auto table = parse_toml(
      "a = \"ä\\\"€ 😀\"\nb = 'ä\\\"'\nc = \"\"\"\nä\\\n  ä\"\"\"\"\"\nd = '''ä''\nä'''\ne = '\\ä' # ä\n",
      "file");
  const auto text = [&](const char* key) { return table[key].value<std::string>().value_or("none"); };
  EXPECT_EQ(text("a"), "ä\"€ 😀");
  EXPECT_EQ(text("b"), "ä\\\"");
  EXPECT_EQ(text("c"), "ää\"\"");
  EXPECT_EQ(text("d"), "ä''\nä");
  EXPECT_EQ(text("e"), "\\ä");
  EXPECT_EQ(sentence("a = 1\nb = 'ä"), "file:2: this is no TOML: a string has no end");
  EXPECT_EQ(sentence("b = \"\\ä\""),
            "file:1: this is no TOML: a backslash stands before a letter that is no escape");
  for (const char* wrong : {"\xff", "\xc3", "\xc0\xaf", "\xed\xa0\x80", "\xf5\x80\x80\x80"})
    EXPECT_EQ(sentence("\nb = \"" + std::string(wrong) + "\""),
              "file:2: this is no TOML: what is no UTF-8 stands in quotation marks");
}

// Each of these took toml++ 3.3 where it does not come back from in some build; fuzzing found them.
TEST(Toml, WhatItsParserDoesNotExpectIsRefused) {
  EXPECT_NE(sentence("[,b]\nx = 1").find("this is no TOML"), std::string::npos);
  EXPECT_NE(sentence("[a.,b]\nx = 1").find("this is no TOML"), std::string::npos);
  EXPECT_NE(sentence("x = 1\n,").find("this is no TOML"), std::string::npos);
  EXPECT_NE(sentence(std::string("a =7777777777777777773\0\0'\307\275pa", 29)).find("this is no TOML"),
            std::string::npos);
}

TEST(Toml, DeepValuesAreRefused) {
  const std::string deep = "a = " + std::string(100'000, '[');
  EXPECT_NE(sentence(deep).find("file:1: this is no TOML"), std::string::npos) << sentence(deep);
}

// Each dot is a table in a table: 200,000 of them took the stack, whichever way they are written.
TEST(Toml, LongNamesAreRefused) {
  const auto dotted = [](size_t dots) {
    std::string name;
    for (size_t i = 0; i < dots; ++i) name += "a.";
    return name + "a";
  };
  for (const size_t dots : {size_t{65}, kMostTomlBytes / 2 - 100})
    for (const auto& [before, after] : {std::pair("", " = 1"), std::pair("[", "]"), std::pair("[[", "]]"),
                                        std::pair("x = {", " = 1}"), std::pair("x = [{b = 1}, {", " = 1}]")})
      EXPECT_EQ(sentence("x = 1\n" + (before + dotted(dots)) + after),
                "file:2: this is no TOML: names of tables within tables have more than 64 dots")
          << before << dots;
  std::string nested = "a = 1";
  for (int level = 0; level < 200; ++level) nested = dotted(60) + " = {" + nested + "}";
  EXPECT_EQ(sentence(nested),
            "file:1: this is no TOML: names of tables within tables have more than 64 dots");

  std::string many = "[" + dotted(64) + "]\n" + dotted(63) + " = 1.5\n";
  many += "b = [1.5";
  for (int i = 0; i < 1000; ++i) many += ", 1.5";
  many += "]\n";
  for (int i = 0; i < 100; ++i)
    many += fmt::format("[t{}.x]\ny.z = {{a.b = 1.5}}\nd = '{}'\n", i, dotted(100));
  EXPECT_EQ(sentence(many + "# " + dotted(100)), "no error");
}

TEST(Toml, LargeFilesAreRefusedBeforeTheyAreRead) {
  EXPECT_EQ(sentence(std::string(kMostTomlBytes + 1, '\n')),
            "file: has 1048577 bytes of TOML; at most 1048576 are read");
  const TemporaryFolder folder;
  const std::filesystem::path file = folder.path() / "large.toml";
  write_text_atomic(file, "");
  std::filesystem::resize_file(file, uintmax_t{1} << 30);  // a gigabyte that takes no disk
  try {
    read_toml_text(file);
    FAIL();
  } catch (const Error& error) {
    EXPECT_EQ(error.what(), file.string() + ": has 1073741824 bytes; at most 1048576 are read");
  }
}

}  // namespace
}  // namespace retort
