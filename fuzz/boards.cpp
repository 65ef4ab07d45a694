// Boards as TOML.

#include "cost/boards.h"
#include "base/json.h"
#include "target.h"

namespace retort::fuzz {

void run(Bytes bytes) {
  for (const cost::Board& board : cost::parse_boards(as_text(bytes), "boards.toml")) {
    require(board.flash_for_model() > 0 && board.ram_for_model() > 0, "something is left to a model");
    require(Json(board).get<cost::Board>() == board, "a board goes through JSON");
  }
}

std::vector<Seed> seeds() {
  return text_seeds(
      {"[my-board]\ntitle = \"Mine\"\ncore = \"cortex-m4\"\nclock = \"64 MHz\"\nflash = \"1M\"\nram = "
       "262144\n"
       "firmware = \"a BSP\"\nfirmware_flash = \"16K\"\nfirmware_ram = \"1.5K\"\ncycles_per_instruction = "
       "1.4\n"
       "cycles_error = 0.2\nsource = \"https://example.org\"\n",
       "[a]\ncore = 'risc-v'\nclock = 1_000_000\nflash = 0x10000\nram = '2K'\n[b.c]\nx = "
       "1979-05-27T07:32:00Z\n",
       "a = [1, 2, {b = 'c'}]\n", "[" + repeated("a.", 20'000) + "b]\nc = 1\n"});
}

}  // namespace retort::fuzz
