// What every fuzz target is made of. A target is one .cpp beside this: what it does with foreign bytes, and some sound
// ones to begin from. main.cpp hands it to libFuzzer and says what counts as found.
#pragma once

#include <cstdint>
#include <filesystem>
#include <initializer_list>
#include <span>
#include <string>
#include <string_view>
#include <vector>

namespace retort::fuzz {

using Bytes = std::span<const uint8_t>;
using Seed = std::vector<uint8_t>;

// The target. An Error is how foreign bytes are refused; every other exception, a sanitizer's report, a hang, and memory
// beyond the limits are findings.
void run(Bytes bytes);
// Sound inputs, small ones.
std::vector<Seed> seeds();

// A finding of the target's own: what holds for every input did not.
void require(bool holds, std::string_view what);

// A folder in memory that this process has to itself.
const std::filesystem::path& folder();
// A file there with these bytes and no others.
std::filesystem::path file(std::string_view name, Bytes bytes);

// An input that is several files: each but the last with its length in two bytes before it; what is missing is empty.
std::vector<Bytes> split(Bytes bytes, size_t count);
Seed join(std::initializer_list<Bytes> pieces);

inline Bytes as_bytes(std::string_view text) {
  return {reinterpret_cast<const uint8_t*>(text.data()), text.size()};
}
inline std::string_view as_text(Bytes bytes) {
  return {reinterpret_cast<const char*>(bytes.data()), bytes.size()};
}
inline Seed seed(std::string_view text) {
  return {text.begin(), text.end()};
}
// `text` so often, one after the other: what only long inputs show.
inline std::string repeated(std::string_view text, int times) {
  std::string all;
  for (int i = 0; i < times; ++i) all += text;
  return all;
}
inline std::vector<Seed> text_seeds(std::initializer_list<std::string_view> texts) {
  std::vector<Seed> all;
  for (const std::string_view text : texts) all.push_back(seed(text));
  return all;
}

}  // namespace retort::fuzz
