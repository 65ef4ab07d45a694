#include "cost/boards.h"

#include <fmt/ranges.h>

#include <algorithm>
#include <array>
#include <charconv>
#include <cmath>

#include "base/error.h"
#include "base/file.h"
#include "base/json.h"
#include "base/nearest.h"
#include "base/toml.h"
#include "base/units.h"

namespace retort::cost {
namespace {

#include "boards_toml.h"

// Cycles per instruction from results of MLPerf Tiny (inferences a second of resnet8, dscnn and mobilenet),
// over the instructions that CMSIS-NN's kernels take on an emulated Cortex-M4:
//   M4   v1.0 OctoML, CMSIS-NN on an STM32L4R5: 1.50 to 1.57. Another M4 (PSoC 62) takes 1.07 to 1.39 times
//        the cycles of that one with the same software (v1.0 Plumerai).
//   M33  v1.0 OctoML, CMSIS-NN on an nRF5340: 1.23 to 1.36.
//   M7   0.48 to 0.67 of the M4's cycles: STM32F746 and H7A3 beside the L4R5 with the same software (v1.0
//        Plumerai and STMicroelectronics).
// The others were not measured. M0+ and M3 are close to the M4 for plain C, the M55 is taken without its
// vector unit, and of the cores that are no Cortex-M only the order of magnitude is known: their instructions
// are others.
constexpr std::array<CoreTraits, 9> kCores = {{
    {Core::CortexM0Plus, "cortex-m0+", "Cortex-M0+", Kernels::Plain, 1.6, 0.5},
    {Core::CortexM3, "cortex-m3", "Cortex-M3", Kernels::Plain, 1.6, 0.4},
    {Core::CortexM4, "cortex-m4", "Cortex-M4", Kernels::Dsp, 1.6, 0.3},
    {Core::CortexM7, "cortex-m7", "Cortex-M7", Kernels::Dsp, 0.86, 0.35},
    {Core::CortexM33, "cortex-m33", "Cortex-M33", Kernels::Dsp, 1.28, 0.25},
    {Core::CortexM55, "cortex-m55", "Cortex-M55", Kernels::Dsp, 1.1, 0.5},
    {Core::XtensaLx6, "xtensa-lx6", "Xtensa LX6", Kernels::Plain, 1.5, 0.6},
    {Core::XtensaLx7, "xtensa-lx7", "Xtensa LX7", Kernels::Plain, 1.4, 0.6},
    {Core::RiscV, "risc-v", "RISC-V", Kernels::Plain, 1.5, 0.6},
}};

const CoreTraits* find_core(std::string_view name) {
  const auto found = std::ranges::find(kCores, name, &CoreTraits::name);
  return found == kCores.end() ? nullptr : &*found;
}

std::vector<std::string> core_names() {
  std::vector<std::string> names;
  for (const CoreTraits& core : kCores) names.emplace_back(core.name);
  return names;
}

// "64 MHz", "1.2GHz", "32768 Hz".
std::optional<int64_t> parse_clock(std::string_view text) {
  constexpr std::array<std::pair<std::string_view, double>, 4> kUnits = {
      {{"GHz", 1e9}, {"MHz", 1e6}, {"kHz", 1e3}, {"Hz", 1}}};
  for (const auto& [unit, factor] : kUnits) {
    if (!text.ends_with(unit)) continue;
    text.remove_suffix(unit.size());
    while (text.ends_with(' ')) text.remove_suffix(1);
    double value = 0;
    const auto [end, error] = std::from_chars(text.data(), text.data() + text.size(), value);
    if (error != std::errc{} || end != text.data() + text.size() || !std::isfinite(value))
      return std::nullopt;
    return static_cast<int64_t>(std::llround(std::clamp(value, 0.0, 1e6) * factor));
  }
  return std::nullopt;
}

constexpr int64_t kLargestMemory = int64_t{1} << 32;
constexpr int64_t kFastestClock = 10'000'000'000;

const std::vector<std::string>& field_names() {
  static const std::vector<std::string> names = {"title",          "core",         "clock",
                                                 "flash",          "ram",          "firmware",
                                                 "firmware_flash", "firmware_ram", "cycles_per_instruction",
                                                 "cycles_error",   "source"};
  return names;
}

// One board's table. Every sentence begins with the file and the line.
class BoardReader {
 public:
  BoardReader(const std::string& file, const std::string& name, const toml::table& table)
      : file_(file), name_(name), table_(table) {}

  Board read() const {
    constexpr std::string_view kAllowed = "abcdefghijklmnopqrstuvwxyz0123456789-_.";
    if (name_.empty() || name_.find_first_not_of(kAllowed) != std::string::npos)
      fail(table_, "\"{}\" is no name for a board: write small letters, digits and hyphens, such as my-board",
           name_);
    for (const auto& [key, value] : table_)
      if (std::ranges::find(field_names(), key.str()) == field_names().end())
        throw_usage("{}:{}: {} has the unknown key '{}': {}", file_, key.source().begin.line, name_,
                    key.str(), known_names(key.str(), field_names()));
    Board board;
    board.name = name_;
    board.title = text("title").value_or(name_);
    const std::string core = required("core", text("core"), "core = \"cortex-m4\"");
    const CoreTraits* known = find_core(core);
    if (known == nullptr)
      fail(*table_.get("core"), "'{}' is no core: {}", core, known_names(core, core_names()));
    board.core = known->core;
    board.clock_hz = required("clock", clock(), "clock = \"64 MHz\"");
    board.flash_bytes = required("flash", bytes("flash", 1), "flash = \"1M\"");
    board.ram_bytes = required("ram", bytes("ram", 1), "ram = \"256K\"");
    board.firmware = text("firmware").value_or(std::string());
    board.firmware_flash_bytes = bytes("firmware_flash", 0).value_or(0);
    board.firmware_ram_bytes = bytes("firmware_ram", 0).value_or(0);
    for (const auto& [key, firmware, all] :
         {std::tuple{"firmware_flash", board.firmware_flash_bytes, board.flash_bytes},
          std::tuple{"firmware_ram", board.firmware_ram_bytes, board.ram_bytes}})
      if (firmware >= all)
        fail(*table_.get(key), "{} takes {} of {} bytes and leaves nothing to a model", key, firmware, all);
    board.cycles_per_instruction = number("cycles_per_instruction").value_or(known->cycles_per_instruction);
    board.cycles_error = number("cycles_error").value_or(known->cycles_error);
    board.source = text("source").value_or(std::string());
    return board;
  }

 private:
  template <typename... Args>
  [[noreturn]] void fail(const toml::node& at, fmt::format_string<Args...> format, Args&&... args) const {
    throw_usage("{}:{}: {}", file_, at.source().begin.line, fmt::format(format, std::forward<Args>(args)...));
  }

  template <typename T>
  T required(std::string_view key, std::optional<T> value, std::string_view example) const {
    if (!value) fail(table_, "{} lacks its {}: add a line like {}", name_, key, example);
    return std::move(*value);
  }

  std::optional<std::string> text(std::string_view key) const {
    const toml::node* node = table_.get(key);
    if (node == nullptr) return std::nullopt;
    const auto value = node->value_exact<std::string>();
    if (!value) fail(*node, "{} must be a text in quotation marks", key);
    return value;
  }

  std::optional<double> number(std::string_view key) const {
    const toml::node* node = table_.get(key);
    if (node == nullptr) return std::nullopt;
    const auto value = node->is_number() ? node->value<double>() : std::nullopt;
    constexpr double kMost = 100;
    if (!value || !(*value > 0 && *value <= kMost))
      fail(*node, "{} must be a number above 0 and at most {}", key, kMost);
    return value;
  }

  std::optional<int64_t> bytes(std::string_view key, int64_t least) const {
    const toml::node* node = table_.get(key);
    if (node == nullptr) return std::nullopt;
    std::optional<int64_t> value = node->value_exact<int64_t>();
    if (const auto written = node->value_exact<std::string>()) {
      try {
        value = parse_bytes(*written);
      } catch (const Error& error) {
        fail(*node, "{}: {}", key, error.what());
      }
    }
    if (!value) fail(*node, "{} must be a size, such as \"64K\" or 65536", key);
    if (*value < least || *value > kLargestMemory)
      fail(*node, "{} is {} bytes, but must be from {} to {}", key, *value, least, kLargestMemory);
    return value;
  }

  std::optional<int64_t> clock() const {
    const toml::node* node = table_.get("clock");
    if (node == nullptr) return std::nullopt;
    std::optional<int64_t> value = node->value_exact<int64_t>();
    if (const auto written = node->value_exact<std::string>()) value = parse_clock(*written);
    if (!value) fail(*node, "clock must be like \"64 MHz\" or 64000000");
    constexpr int64_t kSlowest = 1000;
    if (*value < kSlowest || *value > kFastestClock)
      fail(*node, "clock is {} Hz, but must be from {} to {}", *value, kSlowest, kFastestClock);
    return value;
  }

  const std::string& file_;
  const std::string& name_;
  const toml::table& table_;
};

}  // namespace

const CoreTraits& traits(Core core) {
  return *std::ranges::find(kCores, core, &CoreTraits::core);
}

const std::vector<Board>& builtin_boards() {
  static const std::vector<Board> boards = parse_boards(kBuiltinBoards, "the built-in boards");
  return boards;
}

std::vector<Board> parse_boards(std::string_view text, const std::string& file) {
  // In the order of the file, which a TOML table does not keep.
  std::vector<std::pair<toml::source_index, Board>> lines;
  const toml::table document = parse_toml(text, file);
  for (const auto& [key, value] : document) {
    const std::string name(key.str());
    const toml::table* table = value.as_table();
    if (table == nullptr)
      throw_usage(
          "{}:{}: '{}' stands outside a board: begin each with its name in brackets, such as [my-board]",
          file, key.source().begin.line, name);
    lines.emplace_back(key.source().begin.line, BoardReader(file, name, *table).read());
  }
  std::ranges::sort(lines, {}, &std::pair<toml::source_index, Board>::first);
  std::vector<Board> boards;
  for (auto& [line, board] : lines) boards.push_back(std::move(board));
  return boards;
}

std::vector<Board> load_boards(const std::filesystem::path& file) {
  std::vector<Board> boards = builtin_boards();
  if (file.empty()) return boards;
  std::vector<Board> own = parse_boards(read_toml_text(file), file.string());
  if (own.empty())
    throw_usage("{}: holds no board: begin each with its name in brackets, such as [my-board]",
                file.string());
  for (Board& board : own) {
    const auto same = std::ranges::find(boards, board.name, &Board::name);
    if (same == boards.end())
      boards.push_back(std::move(board));
    else
      *same = std::move(board);
  }
  return boards;
}

const Board& find_board(const std::vector<Board>& boards, std::string_view name) {
  const auto found = std::ranges::find(boards, name, &Board::name);
  if (found != boards.end()) return *found;
  std::vector<std::string> names;
  for (const Board& board : boards) names.push_back(board.name);
  throw_usage("'{}' is no known board: {}", name, known_names(name, names));
}

void to_json(Json& json, const Board& board) {
  json = {{"name", board.name},
          {"title", board.title},
          {"core", traits(board.core).name},
          {"clock_hz", board.clock_hz},
          {"flash_bytes", board.flash_bytes},
          {"ram_bytes", board.ram_bytes},
          {"firmware", board.firmware},
          {"firmware_flash_bytes", board.firmware_flash_bytes},
          {"firmware_ram_bytes", board.firmware_ram_bytes},
          {"flash_for_model", board.flash_for_model()},
          {"ram_for_model", board.ram_for_model()},
          {"cycles_per_instruction", board.cycles_per_instruction},
          {"cycles_error", board.cycles_error},
          {"source", board.source}};
}

void from_json(const Json& json, Board& board) {
  const auto core = json.at("core").get<std::string>();
  const CoreTraits* known = find_core(core);
  if (known == nullptr) throw_failure("a stored board has the unknown core '{}'", core);
  board = {.name = json.at("name"),
           .title = json.at("title"),
           .core = known->core,
           .clock_hz = json.at("clock_hz"),
           .flash_bytes = json.at("flash_bytes"),
           .ram_bytes = json.at("ram_bytes"),
           .firmware = json.at("firmware"),
           .firmware_flash_bytes = json.at("firmware_flash_bytes"),
           .firmware_ram_bytes = json.at("firmware_ram_bytes"),
           .cycles_per_instruction = json.at("cycles_per_instruction"),
           .cycles_error = json.at("cycles_error"),
           .source = json.at("source")};
}

}  // namespace retort::cost
