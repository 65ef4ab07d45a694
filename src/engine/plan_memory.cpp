#include "engine/plan_memory.h"

#include <sys/mman.h>

#include <algorithm>
#include <cstring>
#include <new>
#include <numeric>

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
  std::stable_sort(by_size.begin(), by_size.end(),
                   [](const Buffer* a, const Buffer* b) { return a->bytes > b->bytes; });
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

size_t arena_alignment(size_t bytes) {
  return bytes < kHugePageBytes ? kLineBytes : kHugePageBytes;
}

}  // namespace

Arena::Arena(size_t bytes) : bytes_(round_up(bytes, kLineBytes)) {
  const size_t alignment = arena_alignment(bytes_);
  auto* memory =
      static_cast<std::byte*>(::operator new(std::max(bytes_, kLineBytes), std::align_val_t(alignment)));
  data_ = {memory, ArenaRelease{alignment}};
#ifdef MADV_HUGEPAGE
  // Advice alone: where it is not taken, all works as before.
  if (alignment == kHugePageBytes)
    madvise(data_.get(), bytes_ / kHugePageBytes * kHugePageBytes, MADV_HUGEPAGE);
#endif
  std::memset(data_.get(), 0, bytes_);
}

float* Arena::floats() const {
  return reinterpret_cast<float*>(data_.get());
}

void ArenaRelease::operator()(std::byte* memory) const {
  ::operator delete(memory, std::align_val_t(alignment));
}

}  // namespace retort::engine
