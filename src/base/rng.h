// Counter-based random numbers: Philox4x32-10 (Salmon et al., «Parallel random numbers: as easy as 1, 2, 3»,
// SC 2011). A stream is a key and a counter, so it can be forked by name, stored, and resumed exactly;
// results do not depend on which thread draws first.
#pragma once

#include <array>
#include <cstdint>
#include <span>
#include <string_view>
#include <utility>
#include <vector>

namespace retort {

// The bare generator: 128 bits for a counter under a key.
std::array<uint32_t, 4> philox4x32(std::array<uint32_t, 4> counter, std::array<uint32_t, 2> key);

class Rng {
 public:
  struct State {
    uint64_t key = 0;
    uint64_t stream = 0;
    uint64_t position = 0;  // 32-bit numbers drawn so far
    bool operator==(const State&) const = default;
  };

  explicit Rng(uint64_t seed) : state_{seed, 0, 0} {}
  explicit Rng(const State& state) : state_(state) {}

  // An independent stream; the same name (and index) of the same parent always gives the same stream,
  // however much the parent has drawn.
  [[nodiscard]] Rng fork(std::string_view name, uint64_t index = 0) const;

  uint32_t next_u32();
  // Uniform in [0, 1), 24 bits.
  float uniform();
  // Uniform in [low, high).
  float uniform(float low, float high) { return low + (high - low) * uniform(); }
  // Uniform in {0, …, bound − 1}, without bias. bound ≥ 1.
  uint32_t below(uint32_t bound);
  // Standard normal (Box–Muller).
  float normal();

  // Fisher–Yates.
  template <typename T>
  void shuffle(std::span<T> values) {
    for (size_t i = values.size(); i > 1; --i)
      std::swap(values[i - 1], values[below(static_cast<uint32_t>(i))]);
  }
  std::vector<uint32_t> permutation(uint32_t n);

  [[nodiscard]] const State& state() const { return state_; }

 private:
  State state_;
  std::array<uint32_t, 4> block_{};
  uint64_t block_index_ = ~uint64_t{0};  // which counter block_ holds
};

}  // namespace retort
