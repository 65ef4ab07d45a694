#include "cost/placement.h"

#include <algorithm>
#include <numeric>
#include <utility>

#include "base/rng.h"

namespace retort::cost {

namespace {

// Offsets strictly between the two are taken.
using Taken = std::pair<int64_t, int64_t>;

class Search {
 public:
  Search(const std::vector<Block>& blocks, const std::vector<Overlap>& overlaps)
      : blocks_(blocks), conflicts_(blocks.size()) {
    for (size_t a = 0; a < blocks.size(); ++a)
      for (size_t b = 0; b < blocks.size(); ++b)
        if (a != b && live_together(blocks[a], blocks[b]))
          conflicts_[a].push_back({b, -blocks[a].bytes, blocks[b].bytes});
    // Without an overlap: x ≤ b − |a| or x ≥ b + |b|.
    for (const Overlap& overlap : overlaps) {
      const auto lower = static_cast<size_t>(overlap.lower);
      const auto upper = static_cast<size_t>(overlap.upper);
      for (Conflict& conflict : conflicts_[lower])
        if (conflict.other == upper) conflict.below = std::max(conflict.below, -overlap.distance);
      for (Conflict& conflict : conflicts_[upper])
        if (conflict.other == lower) conflict.above = std::min(conflict.above, overlap.distance);
    }
    bound_ = bound(overlaps);
  }

  Placement run() {
    std::vector<size_t> order(blocks_.size());
    const auto try_sorted = [&](const auto& before) {
      std::iota(order.begin(), order.end(), size_t{0});
      std::sort(order.begin(), order.end(),
                [&](size_t i, size_t j) { return before(i, j) || (!before(j, i) && i < j); });
      keep_better(order);
    };
    const auto& b = blocks_;
    try_sorted([&](size_t i, size_t j) { return b[i].bytes > b[j].bytes; });
    try_sorted([&](size_t i, size_t j) { return b[i].first_used > b[j].first_used; });
    try_sorted([&](size_t i, size_t j) { return b[i].first_used < b[j].first_used; });
    try_sorted([&](size_t i, size_t j) {
      return b[i].bytes * (b[i].last_used - b[i].first_used + 1) >
             b[j].bytes * (b[j].last_used - b[j].first_used + 1);
    });
    Rng rng(0);
    constexpr int kTrials = 200;
    for (int trial = 0; trial < kTrials && best_.bytes > bound_ && blocks_.size() > 1; ++trial) {
      order = best_order_;
      const auto from = static_cast<size_t>(rng.below(static_cast<uint32_t>(order.size())));
      const auto to = static_cast<size_t>(rng.below(static_cast<uint32_t>(order.size())));
      const size_t moved = order[from];
      order.erase(order.begin() + static_cast<ptrdiff_t>(from));
      order.insert(order.begin() + static_cast<ptrdiff_t>(to), moved);
      keep_better(order);
    }
    return std::move(best_);
  }

 private:
  // This block's offset may be other + below or less, or other + above or more.
  struct Conflict {
    size_t other = 0;
    int64_t below = 0;
    int64_t above = 0;
  };

  static bool live_together(const Block& a, const Block& b) {
    return a.first_used <= b.last_used && b.first_used <= a.last_used;
  }

  // No placement is smaller than what lives at one time, pairs that may overlap as far as they may.
  [[nodiscard]] int64_t bound(const std::vector<Overlap>& overlaps) const {
    int last = 0;
    for (const Block& block : blocks_) last = std::max(last, block.last_used);
    const auto live = [](const Block& block, int time) {
      return block.first_used <= time && time <= block.last_used;
    };
    int64_t most = 0;
    for (int time = 0; time <= last; ++time) {
      int64_t sum = 0;
      for (const Block& block : blocks_)
        if (live(block, time)) sum += block.bytes;
      int64_t saved = 0;
      for (const Overlap& overlap : overlaps) {
        const Block& lower = blocks_[static_cast<size_t>(overlap.lower)];
        const Block& upper = blocks_[static_cast<size_t>(overlap.upper)];
        if (!live(lower, time) || !live(upper, time)) continue;
        // Both inputs of an addition may overlap its output.
        saved += lower.bytes + upper.bytes - std::max(lower.bytes, overlap.distance + upper.bytes);
      }
      most = std::max(most, sum - saved);
    }
    return most;
  }

  void keep_better(const std::vector<size_t>& order) {
    offsets_.assign(blocks_.size(), -1);
    int64_t bytes = 0;
    for (const size_t block : order) {
      taken_.clear();
      for (const Conflict& conflict : conflicts_[block]) {
        const int64_t other = offsets_[conflict.other];
        if (other >= 0) taken_.emplace_back(other + conflict.below, other + conflict.above);
      }
      std::sort(taken_.begin(), taken_.end());
      int64_t offset = 0;
      for (const Taken& taken : taken_)
        if (offset > taken.first && offset < taken.second) offset = taken.second;
      offsets_[block] = offset;
      bytes = std::max(bytes, offset + blocks_[block].bytes);
      if (!best_order_.empty() && bytes > best_.bytes) return;
    }
    // Equal ones too: the search then walks along a plain.
    best_order_ = order;
    best_ = {offsets_, bytes};
  }

  const std::vector<Block>& blocks_;
  std::vector<std::vector<Conflict>> conflicts_;
  int64_t bound_ = 0;
  std::vector<int64_t> offsets_;
  std::vector<Taken> taken_;
  std::vector<size_t> best_order_;
  Placement best_;
};

}  // namespace

Placement place(const std::vector<Block>& blocks, const std::vector<Overlap>& overlaps) {
  return Search(blocks, overlaps).run();
}

}  // namespace retort::cost
