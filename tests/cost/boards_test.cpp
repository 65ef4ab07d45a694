#include "cost/boards.h"

#include <gtest/gtest.h>

#include <algorithm>
#include <set>

#include "base/error.h"
#include "base/file.h"
#include "base/json.h"

namespace retort::cost {
namespace {

std::string sentence(const std::string& toml) {
  try {
    parse_boards(toml, "my.toml");
  } catch (const Error& error) {
    EXPECT_EQ(error.code(), ErrorCode::Usage);
    return error.what();
  }
  return "";
}

const char* const kLeast = "[a]\ncore = \"cortex-m4\"\nclock = \"64 MHz\"\nflash = \"1M\"\nram = 65536\n";

TEST(Boards, TheBuiltInOnesAreSane) {
  std::set<std::string> names;
  for (const Board& board : builtin_boards()) {
    EXPECT_TRUE(names.insert(board.name).second) << board.name;
    EXPECT_FALSE(board.title.empty() || board.firmware.empty() || board.source.empty()) << board.name;
    EXPECT_LE(board.title.size(), 38U) << board.name << " makes the table too wide";
    EXPECT_GE(board.clock_hz, 16'000'000) << board.name;
    EXPECT_LE(board.clock_hz, 1'000'000'000) << board.name;
    EXPECT_EQ(board.flash_bytes % 1024, 0) << board.name;
    EXPECT_EQ(board.ram_bytes % 1024, 0) << board.name;
    EXPECT_GE(board.flash_bytes, 64 * 1024) << board.name;
    EXPECT_GE(board.flash_for_model(), board.flash_bytes / 8) << board.name;
    EXPECT_GE(board.ram_for_model(), board.ram_bytes / 4) << board.name;
    EXPECT_GT(board.firmware_flash_bytes, 0) << board.name;
    // The M7 alone issues two instructions at once.
    EXPECT_GT(board.cycles_per_instruction, board.core == Core::CortexM7 ? 0.5 : 1.0) << board.name;
    EXPECT_LT(board.cycles_per_instruction, 3) << board.name;
    EXPECT_LT(board.cycles_error, 1) << board.name;
    const bool cortex = traits(board.core).name.starts_with("cortex");
    EXPECT_GE(board.cycles_error, cortex ? 0.05 : 0.5) << board.name;
    EXPECT_EQ(Json(board).get<Board>(), board);
  }
  for (const char* name : {"nano33ble", "rp2040", "stm32l4r5", "stm32f446", "stm32f746", "stm32h743",
                           "nrf52840", "nrf5340", "esp32s3", "apollo3"})
    EXPECT_TRUE(names.contains(name)) << name;
}

TEST(Boards, AreReadFromToml) {
  const std::vector<Board> boards = parse_boards(
      "[zebra]\ntitle = \"Zebra\"\ncore = \"cortex-m33\"\nclock = \"1.5 GHz\"\nflash = \"1.5M\"\nram = \"64 "
      "KB\"\n"
      "firmware = \"none\"\nfirmware_flash = 4096\nfirmware_ram = \"1K\"\ncycles_per_instruction = 2\n"
      "cycles_error = 0.25\nsource = \"me\"\n" +
          std::string(kLeast),
      "my.toml");
  ASSERT_EQ(boards.size(), 2U);
  const Board& zebra = boards[0];  // in the file's order
  EXPECT_EQ(zebra.name, "zebra");
  EXPECT_EQ(zebra.title, "Zebra");
  EXPECT_EQ(zebra.core, Core::CortexM33);
  EXPECT_EQ(zebra.clock_hz, 1'500'000'000);
  EXPECT_EQ(zebra.flash_bytes, 1'572'864);
  EXPECT_EQ(zebra.ram_bytes, 65'536);
  EXPECT_EQ(zebra.flash_for_model(), 1'572'864 - 4096);
  EXPECT_EQ(zebra.ram_for_model(), 65'536 - 1024);
  EXPECT_EQ(zebra.cycles_per_instruction, 2);
  EXPECT_EQ(zebra.cycles_error, 0.25);
  const Board& least = boards[1];
  EXPECT_EQ(least.title, "a");
  EXPECT_EQ(least.clock_hz, 64'000'000);
  EXPECT_EQ(least.flash_for_model(), 1'048'576);
  EXPECT_EQ(least.cycles_per_instruction, traits(Core::CortexM4).cycles_per_instruction);
}

TEST(Boards, WhatIsWrongIsSaidWithItsLine) {
  const std::string least = kLeast;
  const auto replaced = [&](const std::string& from, const std::string& to) {
    std::string text = least;
    return text.replace(text.find(from), from.size(), to);
  };
  EXPECT_EQ(sentence(least), "");
  EXPECT_EQ(sentence(least + "flsh = 3\n"), "my.toml:6: a has the unknown key 'flsh': did you mean flash?");
  EXPECT_NE(
      sentence(least + "bananas = 3\n").find("my.toml:6: a has the unknown key 'bananas': known are title, "),
      std::string::npos);
  EXPECT_EQ(sentence(replaced("cortex-m4", "cortex-m5")),
            "my.toml:2: 'cortex-m5' is no core: did you mean cortex-m3?");
  EXPECT_NE(sentence(replaced("\"cortex-m4\"", "4")).find("my.toml:2: core must be a text"),
            std::string::npos);
  EXPECT_EQ(sentence(replaced("64 MHz", "64 mph")), "my.toml:3: clock must be like \"64 MHz\" or 64000000");
  EXPECT_EQ(sentence(replaced("64 MHz", "nan MHz")), "my.toml:3: clock must be like \"64 MHz\" or 64000000");
  EXPECT_NE(sentence(replaced("\"64 MHz\"", "64")).find("my.toml:3: clock is 64 Hz, but must be from 1000"),
            std::string::npos);
  EXPECT_NE(sentence(replaced("\"1M\"", "\"1 apple\""))
                .find("my.toml:4: flash: \"1 apple\" is not a size in bytes"),
            std::string::npos);
  EXPECT_EQ(sentence(replaced("\"1M\"", "true")),
            "my.toml:4: flash must be a size, such as \"64K\" or 65536");
  EXPECT_EQ(sentence(replaced("\"1M\"", "0")),
            "my.toml:4: flash is 0 bytes, but must be from 1 to 4294967296");
  EXPECT_EQ(sentence(replaced("ram = 65536\n", "")),
            "my.toml:1: a lacks its ram: add a line like ram = \"256K\"");
  EXPECT_EQ(sentence(least + "firmware_ram = \"64K\"\n"),
            "my.toml:6: firmware_ram takes 65536 of 65536 bytes and leaves nothing to a model");
  EXPECT_NE(sentence(least + "cycles_error = -1\n").find("my.toml:6: cycles_error must be a number above 0"),
            std::string::npos);
  EXPECT_NE(
      sentence("clock = 5\n" + least).find("my.toml:1: 'clock' stands outside a board: begin each with"),
      std::string::npos);
  EXPECT_NE(sentence("[\"My Board\"]\n").find("my.toml:1: \"My Board\" is no name for a board"),
            std::string::npos);
  EXPECT_NE(sentence(least + "ram = 1\n").find("my.toml:6: this is no TOML: "), std::string::npos)
      << sentence(least + "ram = 1\n");
  EXPECT_NE(sentence("[a\n").find("my.toml:1: this is no TOML: "), std::string::npos) << sentence("[a\n");
  EXPECT_NE(sentence("[a]\nx = \"\xff\"\n").find("my.toml:2: this is no TOML: "), std::string::npos);
}

TEST(Boards, OnesOwnTakeThePlaceOfBuiltInOnes) {
  const std::filesystem::path file = std::filesystem::path(testing::TempDir()) / "retort_boards.toml";
  std::string own = kLeast;
  own.replace(own.find("[a]"), 3, "[rp2040]");
  write_text_atomic(file, own + kLeast);
  const std::vector<Board> boards = load_boards(file);
  EXPECT_EQ(boards.size(), builtin_boards().size() + 1);
  EXPECT_EQ(find_board(boards, "rp2040").ram_bytes, 65'536);
  EXPECT_EQ(find_board(boards, "a").title, "a");
  EXPECT_EQ(load_boards({}), builtin_boards());
  write_text_atomic(file, "# nothing\n");
  EXPECT_THROW(load_boards(file), Error);
  std::filesystem::remove(file);
  EXPECT_THROW(load_boards(file), Error);
}

TEST(Boards, AnUnknownNameIsAnswered) {
  try {
    find_board(builtin_boards(), "nano33bel");
    FAIL();
  } catch (const Error& error) {
    EXPECT_STREQ(error.what(), "'nano33bel' is no known board: did you mean nano33ble?");
  }
  EXPECT_THROW(find_board(builtin_boards(), "toaster"), Error);
}

}  // namespace
}  // namespace retort::cost
