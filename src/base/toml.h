// TOML files of people. The only header that includes toml++, so that what it asserts of a file is refused in every
// build: `[,]` fails an assertion of toml++ 3.3, and without assertions clang takes it for impossible.
#pragma once

#pragma push_macro("NDEBUG")
#undef NDEBUG
#define TOML_ASSERT(holds) ::retort::toml_expects(static_cast<bool>(holds))

#include <cstdint>
#include <filesystem>
#include <stdexcept>
#include <string>
#include <string_view>

namespace retort {

// What TOML_ASSERT throws; parse_toml makes a sentence of it.
struct TomlAssertion : std::logic_error {
  using std::logic_error::logic_error;
};
constexpr void toml_expects(bool holds) {
  if (!holds) throw TomlAssertion("toml++ did not expect this");
}

}  // namespace retort

#include <toml++/toml.h>

#pragma pop_macro("NDEBUG")

namespace retort {

// A larger file is refused before it is read.
inline constexpr uint64_t kMostTomlBytes = uint64_t{1} << 20;

// Dots in a name and in those of the tables around it, altogether: each makes a table, and toml++ takes one within the
// other down by recursion.
inline constexpr int kMostTomlDots = 64;

// Throws Error(Usage) with `file` and the line. toml++ refuses values that are nested more than 256 levels deep.
toml::table parse_toml(std::string_view text, const std::string& file);

// The text of such a file.
std::string read_toml_text(const std::filesystem::path& file);

}  // namespace retort
