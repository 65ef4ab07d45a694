#include "engine/plan_memory.h"

#include <sys/mman.h>

#include <algorithm>
#include <array>
#include <cstring>
#include <new>
#include <numeric>
#include <utility>

#include "engine/spare_memory.h"

namespace retort::engine {

int MemoryPlan::request(size_t bytes, int first, int last) {
  buffers_.push_back({round_up(bytes, kLineBytes), first, last, 0});
  return static_cast<int>(buffers_.size()) - 1;
}

void MemoryPlan::extend(int buffer, int last) {
  Buffer& found = buffers_[static_cast<size_t>(buffer)];
  found.last = std::max(found.last, last);
}

size_t MemoryPlan::arrange() {
  std::vector<Buffer*> by_size;
  for (Buffer& buffer : buffers_) by_size.push_back(&buffer);
  // Of equal ones the first asked for comes first. (Clang 19 warns of libstdc++ 12's std::stable_sort.)
  std::sort(by_size.begin(), by_size.end(), [](const Buffer* a, const Buffer* b) {
    return a->bytes != b->bytes ? a->bytes > b->bytes : a < b;
  });
  std::vector<const Buffer*> placed;  // by offset
  size_t total = 0;
  for (Buffer* buffer : by_size) {
    size_t offset = 0;
    for (const Buffer* other : placed) {
      if (other->last < buffer->first || buffer->last < other->first) continue;
      if (offset + buffer->bytes <= other->offset) break;
      offset = std::max(offset, other->offset + other->bytes);
    }
    buffer->offset = offset;
    total = std::max(total, offset + buffer->bytes);
    placed.insert(std::upper_bound(placed.begin(), placed.end(), buffer,
                                   [](const Buffer* a, const Buffer* b) { return a->offset < b->offset; }),
                  buffer);
  }
  return total;
}

namespace {

// A page of the kind that the kernel gives for the asking on most machines: one fault where small pages take 512.
constexpr size_t kHugePageBytes = size_t{2} << 20;

struct Block {
  std::byte* memory = nullptr;
  size_t bytes = 0;
};

std::align_val_t alignment_of(size_t bytes) {
  return std::align_val_t(bytes < kHugePageBytes ? kLineBytes : kHugePageBytes);
}

Block allocate(size_t bytes) {
  const Block block{static_cast<std::byte*>(::operator new(bytes, alignment_of(bytes))), bytes};
#ifdef MADV_HUGEPAGE
  // Advice alone: where it is not taken, all works as before.
  if (bytes >= kHugePageBytes) madvise(block.memory, bytes / kHugePageBytes * kHugePageBytes, MADV_HUGEPAGE);
#endif
  return block;
}

void release(const Block& block) {
  if (block.memory != nullptr) ::operator delete(block.memory, alignment_of(block.bytes));
}

constexpr auto kMostSpare = static_cast<size_t>(kMostSpareBytes);

// Blocks that this thread's last networks left behind, for its next: a search compiles thousands of networks,
// and for large ones getting memory from the kernel takes longer than all the rest. Holds the last few, no more
// than kMostSpare together, and nothing small.
class SpareBlocks {
 public:
  // Whether this thread's are no more: the thread ends, and networks that end after them still give blocks back.
  static bool& over() {
    thread_local bool ended = false;  // needs no destructor, so it outlives them
    return ended;
  }

  SpareBlocks() = default;
  SpareBlocks(const SpareBlocks&) = delete;
  SpareBlocks& operator=(const SpareBlocks&) = delete;
  ~SpareBlocks() {
    clear();
    over() = true;
  }
  void clear() {
    for (Block& block : blocks_) release(std::exchange(block, Block{}));
  }

  // The smallest that holds `bytes` and is not much larger; an empty one when there is none.
  Block take(size_t bytes) {
    Block* best = nullptr;
    for (Block& block : blocks_)
      if (block.bytes >= bytes && block.bytes <= 2 * bytes && (best == nullptr || block.bytes < best->bytes))
        best = &block;
    return best == nullptr ? Block{} : std::exchange(*best, Block{});
  }
  // In place of the oldest.
  void put(const Block& block) {
    if (block.bytes > kMostSpare) return release(block);
    const auto held = [&] {
      return std::accumulate(blocks_.begin(), blocks_.end(), block.bytes,
                             [](size_t sum, const Block& each) { return sum + each.bytes; });
    };
    do {
      release(std::exchange(blocks_[oldest_], Block{}));
      oldest_ = (oldest_ + 1) % blocks_.size();
    } while (held() > kMostSpare);
    blocks_[(oldest_ + blocks_.size() - 1) % blocks_.size()] = block;
  }

 private:
  std::array<Block, 4> blocks_;
  size_t oldest_ = 0;
};

SpareBlocks& spare_blocks() {
  thread_local SpareBlocks blocks;
  return blocks;
}

}  // namespace

void release_spare_memory() {
  if (!SpareBlocks::over()) spare_blocks().clear();
}

Arena::Arena(size_t bytes) : bytes_(round_up(bytes, kLineBytes)) {
  const size_t needed = std::max(bytes_, kLineBytes);
  Block block;
  if (needed >= kHugePageBytes && !SpareBlocks::over()) block = spare_blocks().take(needed);
  if (block.memory == nullptr) block = allocate(needed);
  data_ = {block.memory, ArenaRelease{block.bytes}};
  std::memset(data_.get(), 0, bytes_);
}

float* Arena::floats() const {
  return reinterpret_cast<float*>(data_.get());
}

void ArenaRelease::operator()(std::byte* memory) const {
  const Block block{memory, bytes};
  if (bytes < kHugePageBytes || SpareBlocks::over())
    release(block);
  else
    spare_blocks().put(block);
}

}  // namespace retort::engine
