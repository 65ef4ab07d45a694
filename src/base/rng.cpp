#include "base/rng.h"

#include <cmath>
#include <numbers>
#include <numeric>

namespace retort {
namespace {

uint32_t low_half(uint64_t value) {
  return static_cast<uint32_t>(value);
}
uint32_t high_half(uint64_t value) {
  return static_cast<uint32_t>(value >> 32);
}
uint64_t join(uint32_t low, uint32_t high) {
  return uint64_t{high} << 32 | low;
}

// FNV-1a: names are short, and what comes out goes through Philox anyway.
uint64_t hash_name(std::string_view name) {
  uint64_t hash = 0xcbf29ce484222325;
  for (const char c : name) hash = (hash ^ static_cast<uint8_t>(c)) * 0x100000001b3;
  return hash;
}

}  // namespace

std::array<uint32_t, 4> philox4x32(std::array<uint32_t, 4> counter, std::array<uint32_t, 2> key) {
  constexpr int kRounds = 10;
  for (int round = 0; round < kRounds; ++round) {
    const uint64_t first = uint64_t{0xD2511F53} * counter[0];
    const uint64_t second = uint64_t{0xCD9E8D57} * counter[2];
    counter = {high_half(second) ^ counter[1] ^ key[0], low_half(second),
               high_half(first) ^ counter[3] ^ key[1], low_half(first)};
    key[0] += 0x9E3779B9;  // Weyl sequence: golden ratio and √3 − 1
    key[1] += 0xBB67AE85;
  }
  return counter;
}

Rng Rng::fork(std::string_view name, uint64_t index) const {
  // Two blocks, so that name, index and the parent's stream (192 bits) all take part.
  const std::array<uint32_t, 2> key = {low_half(state_.key), high_half(state_.key)};
  const uint64_t hash = hash_name(name);
  auto block = philox4x32({low_half(hash), high_half(hash), low_half(index), high_half(index)}, key);
  block[0] ^= low_half(state_.stream);
  block[1] ^= high_half(state_.stream);
  block = philox4x32(block, key);
  return Rng(State{join(block[0], block[1]), join(block[2], block[3]), 0});
}

uint32_t Rng::next_u32() {
  const uint64_t counter = state_.position / 4;
  if (counter != block_index_) {
    block_ =
        philox4x32({low_half(counter), high_half(counter), low_half(state_.stream), high_half(state_.stream)},
                   {low_half(state_.key), high_half(state_.key)});
    block_index_ = counter;
  }
  return block_[state_.position++ % 4];
}

float Rng::uniform() {
  return static_cast<float>(next_u32() >> 8) * 0x1p-24F;
}

uint32_t Rng::below(uint32_t bound) {
  // Lemire, «Fast random integer generation in an interval» (2019): rejects only the few products that would
  // favour some values.
  uint64_t product = uint64_t{next_u32()} * bound;
  if (low_half(product) < bound) {
    const uint32_t threshold = (0U - bound) % bound;
    while (low_half(product) < threshold) product = uint64_t{next_u32()} * bound;
  }
  return high_half(product);
}

float Rng::normal() {
  // One number a call, the pair's other half dropped: then position alone is the whole state.
  const double radius = (next_u32() + 0.5) * 0x1p-32;  // never 0
  const double angle = next_u32() * 0x1p-32;
  return static_cast<float>(std::sqrt(-2 * std::log(radius)) * std::cos(2 * std::numbers::pi * angle));
}

std::vector<uint32_t> Rng::permutation(uint32_t n) {
  std::vector<uint32_t> values(n);
  std::iota(values.begin(), values.end(), 0U);
  shuffle(std::span<uint32_t>(values));
  return values;
}

}  // namespace retort
