#include "cost/arena.h"

#include <algorithm>

#include "cost/abi.h"
#include "cost/scratch.h"

namespace retort::cost {

namespace {

constexpr int64_t kArenaAlignment = 16;
constexpr int64_t kScratchRequestsAnOperator =
    12;  // room that the allocator keeps for the next operator's requests
constexpr int64_t kPlannerBytesABuffer = 40;  // the greedy planner's own working arrays

int64_t round_up(int64_t value, int64_t alignment) {
  return (value + alignment - 1) / alignment * alignment;
}

// The arena as its allocator sees it: a head that is resized, temporary allocations behind it, a tail that
// grows towards them. Its size is not known; what each step needs is noted, and the largest need is the
// answer.
class Allocator {
 public:
  void persistent(Layout layout, int64_t count = 1) {
    // The end of the arena is a multiple of 16, so that aligning an address down is rounding the distance up.
    tail_ = round_up(tail_ + layout.bytes * count, layout.alignment);
    // TFLM compares with the head alone, but what then overlaps a temporary destroys it.
    need(temp_ + tail_);
  }
  void temporary(Layout layout, int64_t count = 1) {
    temp_ = round_up(temp_, layout.alignment) + layout.bytes * count;
    need(temp_ + tail_);
  }
  void release_temporaries() { temp_ = head_; }
  // The temporaries' last bytes, which nobody reads: as TFLM does not compare the tail with temporaries, it
  // works when the tail grows into these.
  void leave_unread(int64_t bytes) { temp_ -= bytes; }
  void resize_head(int64_t bytes) {
    head_ = temp_ = bytes;
    need(head_ + tail_);
  }
  // The planner works in what is left between the temporaries and the tail, both aligned.
  void plan(int64_t buffers) {
    need(round_up(temp_, kArenaAlignment) + buffers * kPlannerBytesABuffer +
         round_up(tail_, kArenaAlignment));
  }
  [[nodiscard]] int64_t tail() const { return tail_; }
  [[nodiscard]] int64_t needed() const { return round_up(needed_, kArenaAlignment); }

 private:
  void need(int64_t bytes) { needed_ = std::max(needed_, bytes); }
  int64_t head_ = 0;
  int64_t temp_ = 0;
  int64_t tail_ = 0;
  int64_t needed_ = 0;
};

// Follows MicroInterpreter::AllocateTensors.
class Simulation {
 public:
  Simulation(const int8::QuantGraph& graph, const AbiTable& abi) : graph_(graph), abi_(abi) {}

  Arena run() {
    const auto tensors = static_cast<int64_t>(graph_.tensors.size());
    const auto operators = static_cast<int64_t>(graph_.operators.size());
    for (const Layout& layout :
         {abi_.arena_allocator, abi_.memory_planner, abi_.micro_allocator, abi_.builtin_data_allocator})
      arena_.persistent(layout);
    reserve_requests(0);
    arena_.persistent(abi_.subgraph_allocations);
    arena_.persistent(abi_.eval_tensor, tensors);
    arena_.persistent(abi_.node_and_registration, operators);
    for (const int8::Operator& op : graph_.operators)
      if (const Layout layout = abi_.builtin_data(op.kind); layout.bytes > 0) arena_.persistent(layout);
    for (const int8::Operator& op : graph_.operators) kernel_data(abi_.op_data_bytes(op.kind));

    int64_t scratch_buffers = 0;
    for (const int8::Operator& op : graph_.operators) {
      prepare(op);
      scratch_buffers += static_cast<int64_t>(scratch_requests(graph_, op).size());
      arena_.release_temporaries();
      reserve_requests(scratch_buffers);
    }
    if (scratch_buffers > 0) arena_.persistent(abi_.scratch_handle, scratch_buffers);

    arena_.temporary(abi_.size_type);  // offsets of the one subgraph
    arena_.temporary(abi_.allocation_info, tensors + scratch_buffers);
    const std::vector<PlannedBuffer> buffers = plan_head(graph_);
    arena_.plan(static_cast<int64_t>(buffers.size()));
    arena_.release_temporaries();
    Arena result;
    for (const PlannedBuffer& buffer : buffers)
      result.head_bytes = std::max(result.head_bytes, buffer.offset + buffer.bytes);
    arena_.resize_head(result.head_bytes);

    persistent_tensors(graph_.inputs);
    persistent_tensors(graph_.outputs);
    result.tail_bytes = arena_.tail();
    result.smallest_bytes = arena_.needed();
    return result;
  }

 private:
  [[nodiscard]] const int8::Tensor& tensor(int index) const {
    return graph_.tensors[static_cast<size_t>(index)];
  }

  void reserve_requests(int64_t requests) {
    arena_.resize_head(abi_.scratch_request.bytes * (requests + kScratchRequestsAnOperator));
  }

  void kernel_data(int64_t bytes) {
    if (bytes > 0) arena_.persistent({bytes, kArenaAlignment});
  }

  // A count and as many zero points.
  static Layout zero_points(const int8::Tensor& tensor) {
    return {4 + 4 * static_cast<int64_t>(tensor.quantization.scales.size()), 4};
  }
  static bool has_quantization(const int8::Tensor& tensor) {
    return !tensor.quantization.scales.empty() && !tensor.quantization.zero_points.empty();
  }

  void persistent_tensors(const std::vector<int>& indices) {
    kernel_data(abi_.pointer_bytes * static_cast<int64_t>(indices.size()));
    for (const int index : indices) {
      arena_.persistent(abi_.tensor);
      if (!has_quantization(tensor(index))) continue;
      arena_.persistent(abi_.affine_quantization);
      arena_.persistent(zero_points(tensor(index)));
    }
  }

  void temporary_tensor(int index) {
    if (index < 0) return;
    arena_.temporary(abi_.tensor);
    if (!has_quantization(tensor(index))) return;
    arena_.temporary(abi_.affine_quantization);
    arena_.temporary(zero_points(tensor(index)));
  }

  void temporary_inputs(const int8::Operator& op) {
    for (const int input : op.inputs) temporary_tensor(input);
  }

  // Two arrays of a multiplier and a shift for each output channel.
  void per_channel(int64_t channels) {
    kernel_data(4 * channels);
    kernel_data(4 * channels);
  }

  void prepare_conv(const int8::Operator& op, int64_t channels) {
    temporary_tensor(op.outputs[0]);
    temporary_tensor(op.inputs[0]);
    temporary_tensor(op.inputs[1]);
    per_channel(channels);
    temporary_inputs(op);
    temporary_tensor(op.outputs[0]);
  }

  // The tensors that each kernel looks at stay allocated until it has prepared.
  void prepare(const int8::Operator& op) {
    if (std::holds_alternative<int8::Conv2D>(op.kind)) {
      prepare_conv(op, tensor(op.inputs[1]).dims.front());
      return;
    }
    if (std::holds_alternative<int8::DepthwiseConv2D>(op.kind)) {
      prepare_conv(op, tensor(op.inputs[1]).dims.back());
      return;
    }
    if (std::holds_alternative<int8::Mean>(op.kind)) {
      temporary_tensor(op.inputs[0]);
      temporary_tensor(op.outputs[0]);
      temporary_tensor(op.inputs[1]);
      temporary_inputs(op);
      temporary_tensor(op.outputs[0]);
      return;
    }
    if (std::holds_alternative<int8::Reshape>(op.kind)) {
      temporary_tensor(op.inputs[0]);
      temporary_tensor(op.outputs[0]);
      return;
    }
    temporary_inputs(op);
    if (!std::holds_alternative<int8::Relu6Op>(op.kind)) temporary_tensor(op.outputs[0]);
    if (std::holds_alternative<int8::FullyConnected>(op.kind)) {
      const auto scales = static_cast<int64_t>(tensor(op.inputs[1]).quantization.scales.size());
      if (scales <= 1) return;
      // The output is the last temporary. The kernel reads its numbers from the tensor itself; of its
      // quantisation, TFLM then reads where the zero points lie, to release them, but neither the dimension
      // that follows nor the zero points.
      const int8::Tensor& output = tensor(op.outputs[0]);
      if (has_quantization(output))
        arena_.leave_unread(abi_.affine_quantization.bytes - 2 * abi_.pointer_bytes +
                            zero_points(output).bytes);
      per_channel(scales);
    }
  }

  const int8::QuantGraph& graph_;
  const AbiTable& abi_;
  Allocator arena_;
};

}  // namespace

Arena plan_arena(const int8::QuantGraph& graph, Abi abi) {
  return Simulation(graph, abi_table(abi)).run();
}

}  // namespace retort::cost
