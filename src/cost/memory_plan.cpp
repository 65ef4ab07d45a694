// The head: which buffers there are, how long they live, where they lie.
#include <algorithm>
#include <numeric>

#include "cost/arena.h"
#include "cost/scratch.h"

namespace retort::cost {

namespace {

constexpr int64_t kAlignment = 16;

int64_t rounded_up(int64_t bytes) {
  return (bytes + kAlignment - 1) / kAlignment * kAlignment;
}

bool live_together(const PlannedBuffer& a, const PlannedBuffer& b) {
  return a.first_used <= b.last_used && b.first_used <= a.last_used;
}

// When each tensor is first written and last read; −1 for tensors that nothing touches.
std::vector<PlannedBuffer> tensor_lifetimes(const int8::QuantGraph& graph) {
  std::vector<PlannedBuffer> lives(graph.tensors.size());
  const auto use = [&](int tensor, int time) {
    if (tensor < 0) return;
    PlannedBuffer& life = lives[static_cast<size_t>(tensor)];
    life.last_used = time;
  };
  const auto create = [&](int tensor, int time) {
    PlannedBuffer& life = lives[static_cast<size_t>(tensor)];
    if (life.first_used < 0) life.first_used = time;
    life.last_used = time;
  };
  int time = 0;
  for (const int input : graph.inputs) create(input, time);
  for (const int8::Operator& op : graph.operators) {
    ++time;
    for (const int input : op.inputs) use(input, time);
    for (const int output : op.outputs) create(output, time);
  }
  for (const int output : graph.outputs) create(output, time);
  return lives;
}

}  // namespace

std::vector<int64_t> scratch_requests(const int8::QuantGraph& graph, const int8::Operator& op) {
  if (!std::holds_alternative<int8::Mean>(op.kind)) return {};
  const auto tensor = [&](int index) -> const int8::Tensor& {
    return graph.tensors[static_cast<size_t>(index)];
  };
  const int8::Tensor& input = tensor(op.inputs[0]);
  const auto rank = static_cast<int64_t>(input.dims.size());
  constexpr int64_t kIntBytes = 4;
  return {kIntBytes * tensor(op.outputs[0]).elements(), kIntBytes * rank,
          kIntBytes * tensor(op.inputs[1]).elements()};
}

std::vector<PlannedBuffer> plan_head(const int8::QuantGraph& graph) {
  std::vector<PlannedBuffer> lives = tensor_lifetimes(graph);
  std::vector<PlannedBuffer> buffers;
  for (size_t i = 0; i < lives.size(); ++i) {
    const int8::Tensor& tensor = graph.tensors[i];
    if (tensor.constant() || tensor.bytes() == 0) continue;
    lives[i].tensor = static_cast<int>(i);
    lives[i].bytes = rounded_up(tensor.bytes());
    buffers.push_back(lives[i]);
  }
  for (size_t k = 0; k < graph.operators.size(); ++k) {
    const int time = static_cast<int>(k) + 1;
    for (const int64_t bytes : scratch_requests(graph, graph.operators[k]))
      buffers.push_back({-1, rounded_up(bytes), time, time, 0});
  }
  place_buffers(buffers);
  return buffers;
}

int64_t place_buffers(std::vector<PlannedBuffer>& buffers) {
  std::vector<size_t> order(buffers.size());
  std::iota(order.begin(), order.end(), size_t{0});
  std::sort(order.begin(), order.end(), [&](size_t a, size_t b) {
    return buffers[a].bytes != buffers[b].bytes ? buffers[a].bytes > buffers[b].bytes : a > b;
  });
  std::vector<size_t> placed;  // by offset, of equal offsets the earlier placed first
  int64_t head_bytes = 0;
  for (const size_t index : order) {
    PlannedBuffer& buffer = buffers[index];
    buffer.offset = 0;
    for (const size_t other_index : placed) {
      const PlannedBuffer& other = buffers[other_index];
      if (!live_together(buffer, other)) continue;
      if (other.offset - buffer.offset >= buffer.bytes) break;
      buffer.offset = std::max(buffer.offset, other.offset + other.bytes);
    }
    const auto position =
        std::upper_bound(placed.begin(), placed.end(), buffer.offset,
                         [&](int64_t offset, size_t other) { return offset < buffers[other].offset; });
    placed.insert(position, index);
    head_bytes = std::max(head_bytes, buffer.offset + buffer.bytes);
  }
  return head_bytes;
}

}  // namespace retort::cost
