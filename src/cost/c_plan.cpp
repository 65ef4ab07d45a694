#include "cost/c_plan.h"

#include <algorithm>
#include <limits>
#include <numeric>

#include "cost/placement.h"
#include "int8/kernel_parameters.h"

namespace retort::cost {

namespace {

using int8::Operator;
using int8::QuantGraph;
using int8::Tensor;

constexpr int64_t kAlignment = 4;
constexpr int kNever = std::numeric_limits<int>::max();
// What the kernels in deploy/runtime are built on.
constexpr int64_t kPixels = 4;  // of a convolution, computed at once
constexpr int64_t kQuad = 4;    // weights and inputs taken at once
constexpr int64_t kWideBytes = 2;

int64_t rounded_up(int64_t value, int64_t multiple) {
  return (value + multiple - 1) / multiple * multiple;
}

template <typename Kind>
bool is(const Operator& op) {
  return std::holds_alternative<Kind>(op.kind);
}

// A window on an input of height × width.
struct Sliding {
  int64_t height = 1;  // of the input
  int64_t width = 1;
  int64_t channels = 1;
  int64_t out_height = 1;
  int64_t out_width = 1;
  int64_t out_channels = 1;
  int64_t filter_height = 1;
  int64_t filter_width = 1;
  int64_t stride_height = 1;
  int64_t stride_width = 1;
  int64_t dilation_height = 1;
  int64_t dilation_width = 1;
  int64_t pad_top = 0;
  int64_t pad_left = 0;

  [[nodiscard]] int64_t pixels() const { return out_height * out_width; }
  [[nodiscard]] int64_t input_bytes() const { return height * width * channels; }
  // Where the window of an output pixel begins in the input, in bytes; nothing before is read for it.
  [[nodiscard]] int64_t first_read(int64_t pixel) const {
    const int64_t y = std::max<int64_t>(pixel / out_width * stride_height - pad_top, 0);
    const int64_t x = std::max<int64_t>(pixel % out_width * stride_width - pad_left, 0);
    return (y * width + x) * channels;
  }
};

Sliding sliding(const QuantGraph& graph, const Operator& op, const int8::WindowOp& window, int filter_height,
                int filter_width) {
  const Tensor& in = int8::input_tensor(graph, op, 0);
  const Tensor& out = int8::output_tensor(graph, op);
  const graph::WindowGeometry geometry =
      int8::window_geometry(window, filter_height, filter_width, in.dims[1], in.dims[2]);
  return {.height = in.dims[1],
          .width = in.dims[2],
          .channels = in.dims[3],
          .out_height = out.dims[1],
          .out_width = out.dims[2],
          .out_channels = out.dims[3],
          .filter_height = filter_height,
          .filter_width = filter_width,
          .stride_height = window.stride_height,
          .stride_width = window.stride_width,
          .dilation_height = window.dilation_height,
          .dilation_width = window.dilation_width,
          .pad_top = geometry.pad_top,
          .pad_left = geometry.pad_left};
}

std::optional<Sliding> sliding(const QuantGraph& graph, const Operator& op) {
  if (const auto* pool = std::get_if<int8::MaxPool2D>(&op.kind))
    return sliding(graph, op, *pool, pool->filter_height, pool->filter_width);
  if (const auto* pool = std::get_if<int8::AveragePool2D>(&op.kind))
    return sliding(graph, op, *pool, pool->filter_height, pool->filter_width);
  const auto* conv = std::get_if<int8::Conv2D>(&op.kind);
  const auto* depthwise = std::get_if<int8::DepthwiseConv2D>(&op.kind);
  if (conv == nullptr && depthwise == nullptr) return std::nullopt;
  const std::vector<int>& filter = int8::input_tensor(graph, op, 1).dims;
  if (conv != nullptr) return sliding(graph, op, *conv, filter[1], filter[2]);
  return sliding(graph, op, *depthwise, filter[1], filter[2]);
}

// retort_conv2d's windows of four pixels, and where the channels are no multiple of 4 the bytes of one.
int64_t conv_scratch_bytes(const Sliding& conv) {
  const int64_t window = rounded_up(conv.filter_height * conv.filter_width * conv.channels, kQuad);
  return window * kPixels * kWideBytes + (conv.channels % kQuad != 0 ? window : 0);
}

// retort_depthwise_conv2d's plane and filter.
int64_t depthwise_scratch_bytes(const Sliding& conv) {
  const int64_t height =
      (conv.out_height - 1) * conv.stride_height + (conv.filter_height - 1) * conv.dilation_height + 1;
  const int64_t width =
      (conv.out_width - 1) * conv.stride_width + (conv.filter_width - 1) * conv.dilation_width + 1;
  return kWideBytes *
         (height * ((width + 2) / 2 * 2) + conv.filter_height * rounded_up(conv.filter_width, 2));
}

int64_t scratch_bytes(const Operator& op, const std::optional<Sliding>& window) {
  if (is<int8::Conv2D>(op)) return conv_scratch_bytes(window.value());
  if (is<int8::DepthwiseConv2D>(op)) return depthwise_scratch_bytes(window.value());
  return 0;
}

class Planner {
 public:
  enum class Bands { Used, Unused };
  Planner(const QuantGraph& graph, Bands bands) : graph_(graph), bands_(bands) {}

  CPlan run() {
    make_steps();
    make_buffers();
    std::vector<Block> blocks;
    blocks.reserve(plan_.buffers.size());
    for (const CBuffer& buffer : plan_.buffers)
      blocks.push_back({buffer.bytes, buffer.first_used, buffer.last_used});
    const Placement placement = place(blocks, overlaps_);
    for (size_t i = 0; i < plan_.buffers.size(); ++i) plan_.buffers[i].offset = placement.offsets[i];
    plan_.arena_bytes = placement.bytes;
    return std::move(plan_);
  }

 private:
  [[nodiscard]] const Tensor& tensor(int index) const { return graph_.tensors[static_cast<size_t>(index)]; }
  [[nodiscard]] bool is_output(int index) const {
    return std::find(graph_.outputs.begin(), graph_.outputs.end(), index) != graph_.outputs.end();
  }
  [[nodiscard]] std::vector<int> activations(const Operator& op) const {
    std::vector<int> list;
    for (const int input : op.inputs)
      if (input >= 0 && !tensor(input).constant() && std::find(list.begin(), list.end(), input) == list.end())
        list.push_back(input);
    return list;
  }
  [[nodiscard]] int readers(int index) const {
    int count = 0;
    for (const Operator& op : graph_.operators)
      count += static_cast<int>(std::count(op.inputs.begin(), op.inputs.end(), index));
    return count;
  }

  [[nodiscard]] bool takes_bands(size_t op) const {
    if (bands_ == Bands::Unused || op + 1 >= graph_.operators.size()) return false;
    const Operator& conv = graph_.operators[op];
    const Operator& reader = graph_.operators[op + 1];
    const int between = conv.outputs[0];
    if (!is<int8::Conv2D>(conv) || is_output(between) || readers(between) != 1) return false;
    if (std::find(reader.inputs.begin(), reader.inputs.end(), between) == reader.inputs.end()) return false;
    if (is<int8::AddOp>(reader)) return true;
    if (!is<int8::MaxPool2D>(reader) && !is<int8::AveragePool2D>(reader)) return false;
    const auto window = sliding(graph_, reader);
    return window.value().filter_height <= window.value().stride_height;
  }

  // Whole blocks of pixels where that takes few rows.
  [[nodiscard]] static int band_rows(const Sliding& conv, const Operator& reader, int64_t rows) {
    if (!is<int8::AddOp>(reader)) return 1;
    return static_cast<int>(std::min(rows, kPixels / std::gcd(kPixels, conv.out_width)));
  }

  void make_steps() {
    for (size_t k = 0; k < graph_.operators.size(); ++k) {
      CStep step{.op = k, .reader = {}};
      if (takes_bands(k)) {
        step.reader = k + 1;
        const Operator& reader = graph_.operators[k + 1];
        step.band_rows = band_rows(sliding(graph_, graph_.operators[k]).value(), reader,
                                   int8::output_tensor(graph_, reader).dims[1]);
        ++k;
      }
      plan_.steps.push_back(step);
    }
  }

  struct Life {
    int first_used = -1;
    int last_used = -1;
  };
  // As if nothing shared anything.
  [[nodiscard]] std::vector<Life> lives() const {
    std::vector<Life> lives(graph_.tensors.size());
    const auto touch = [&](int index, int time) {
      Life& life = lives[static_cast<size_t>(index)];
      if (life.first_used < 0) life.first_used = time;
      life.last_used = std::max(life.last_used, time);
    };
    for (const int input : graph_.inputs) touch(input, 0);
    for (size_t s = 0; s < plan_.steps.size(); ++s) {
      const CStep& step = plan_.steps[s];
      const int time = static_cast<int>(s) + 1;
      const int between = step.reader ? graph_.operators[step.op].outputs[0] : -1;
      for (const size_t k : operators(step)) {
        for (const int input : activations(graph_.operators[k]))
          if (input != between) touch(input, time);
        for (const int output : graph_.operators[k].outputs)
          if (output != between) touch(output, time);
      }
    }
    for (const int output : graph_.outputs) touch(output, kNever);
    return lives;
  }

  [[nodiscard]] static std::vector<size_t> operators(const CStep& step) {
    return step.reader ? std::vector<size_t>{step.op, step.reader.value()} : std::vector<size_t>{step.op};
  }

  int add_buffer(int64_t bytes, int first_used, int last_used) {
    plan_.buffers.push_back({{}, rounded_up(bytes, kAlignment), first_used, last_used, 0});
    return static_cast<int>(plan_.buffers.size()) - 1;
  }

  void make_buffers() {
    const std::vector<Life> lives = this->lives();
    // When the last of what shares a tensor's bytes is read. RESHAPE shares whatever happens.
    std::vector<int> dies(graph_.tensors.size());
    for (size_t i = 0; i < dies.size(); ++i) dies[i] = lives[i].last_used;
    for (size_t s = plan_.steps.size(); s-- > 0;) {
      const Operator& op = graph_.operators[plan_.steps[s].op];
      if (!is<int8::Reshape>(op)) continue;
      int& input = dies[static_cast<size_t>(op.inputs[0])];
      input = std::max(input, dies[static_cast<size_t>(op.outputs[0])]);
    }

    plan_.tensor_buffers.assign(graph_.tensors.size(), -1);
    const auto put = [&](int index, int buffer) {
      const Life& life = lives[static_cast<size_t>(index)];
      CBuffer& b = plan_.buffers[static_cast<size_t>(buffer)];
      b.tensors.push_back(index);
      b.last_used = std::max(b.last_used, life.last_used);
      plan_.tensor_buffers[static_cast<size_t>(index)] = buffer;
    };
    const auto put_new = [&](int index) {
      const Life& life = lives[static_cast<size_t>(index)];
      put(index, add_buffer(tensor(index).bytes(), life.first_used, life.last_used));
    };
    for (const int input : graph_.inputs) put_new(input);
    for (size_t s = 0; s < plan_.steps.size(); ++s) {
      CStep& step = plan_.steps[s];
      const int time = static_cast<int>(s) + 1;
      const Operator& op = graph_.operators[step.op];
      const Operator& last = graph_.operators[step.reader.value_or(step.op)];
      const int input = op.inputs[0];
      const int output = last.outputs[0];
      const bool input_dies = dies[static_cast<size_t>(input)] == time;
      if (is<int8::Reshape>(op) || (input_dies && stays_in_place(op)))
        put(output, plan_.tensor_buffers[static_cast<size_t>(input)]);
      else
        put_new(output);
      if (const int64_t bytes = scratch_bytes(op, sliding(graph_, op)); bytes > 0)
        step.scratch_buffer = add_buffer(bytes, time, time);
      if (step.reader) step.band_buffer = add_buffer(band_bytes(step), time, time);
      find_overlaps(step, time);
    }
    const int end = static_cast<int>(plan_.steps.size());
    for (CBuffer& buffer : plan_.buffers) buffer.last_used = std::min(buffer.last_used, end);
  }

  // One channel is copied out as a whole before its output is written to where it was.
  [[nodiscard]] bool stays_in_place(const Operator& op) const {
    const auto* conv = std::get_if<int8::DepthwiseConv2D>(&op.kind);
    return conv != nullptr && conv->depth_multiplier == 1 &&
           int8::output_tensor(graph_, op).bytes() <= int8::input_tensor(graph_, op, 0).bytes();
  }

  [[nodiscard]] int64_t band_bytes(const CStep& step) const {
    const Operator& reader = graph_.operators[step.reader.value()];
    const Sliding conv = sliding(graph_, graph_.operators[step.op]).value();
    const int out_rows = int8::output_tensor(graph_, reader).dims[1];
    int most = 0;
    for (int row = 0; row < out_rows; row += step.band_rows)
      most = std::max(most, band(step, row).last - band(step, row).first);
    return most * conv.out_width * conv.out_channels;
  }
  // The convolution's rows for the band that begins at the reader's row `row`.
  [[nodiscard]] Rows band(const CStep& step, int row) const {
    const Operator& reader = graph_.operators[step.reader.value()];
    const int end = std::min(row + step.band_rows, int8::output_tensor(graph_, reader).dims[1]);
    return {rows_for_reader(graph_, reader, row).first, rows_for_reader(graph_, reader, end - 1).last};
  }

  // The step's output over what it has read of the inputs that die with it.
  void find_overlaps(const CStep& step, int time) {
    const Operator& op = graph_.operators[step.op];
    const Operator& last = graph_.operators[step.reader.value_or(step.op)];
    const int lower = plan_.tensor_buffers[static_cast<size_t>(last.outputs[0])];
    std::vector<std::pair<int, int64_t>> distances;  // by input
    const auto need = [&](int index, int64_t distance) {
      for (auto& [input, most] : distances)
        if (input == index) {
          most = std::max(most, distance);
          return;
        }
      distances.emplace_back(index, distance);
    };
    if (step.reader) {
      need(op.inputs[0], band_distance(step));
      if (is<int8::AddOp>(last))
        for (const int input : activations(last))
          if (input != op.outputs[0]) need(input, 0);
    } else if (is<int8::Conv2D>(op)) {
      need(op.inputs[0], conv_distance(sliding(graph_, op).value()));
    } else if (is<int8::MaxPool2D>(op) || is<int8::AveragePool2D>(op)) {
      need(op.inputs[0], pool_distance(sliding(graph_, op).value()));
    } else if (element_by_element(op)) {
      for (const int input : activations(op)) need(input, 0);
    }
    for (const auto& [input, distance] : distances) {
      const int upper = plan_.tensor_buffers[static_cast<size_t>(input)];
      if (upper == lower || plan_.buffers[static_cast<size_t>(upper)].last_used != time) continue;
      overlaps_.push_back({lower, upper, rounded_up_signed(distance)});
    }
  }
  // Every output is written after the input at its place has been read, or later.
  [[nodiscard]] bool element_by_element(const Operator& op) const {
    return is<int8::AddOp>(op) || is<int8::ReluOp>(op) || is<int8::Relu6Op>(op) || is<int8::Quantize>(op) ||
           is<int8::SoftmaxOp>(op);
  }
  static int64_t rounded_up_signed(int64_t value) {
    return value >= 0 ? rounded_up(value, kAlignment) : -(-value / kAlignment * kAlignment);
  }

  // The largest of (what has been written) − (the first byte still to be read).
  static int64_t conv_distance(const Sliding& conv) {
    int64_t still = std::numeric_limits<int64_t>::max();
    int64_t distance = -conv.input_bytes();  // all of it is read before anything is written
    const int64_t pixels = conv.pixels();
    const int64_t blocks = (pixels + kPixels - 1) / kPixels;
    for (int64_t block = blocks - 1; block > 0; --block) {
      for (int64_t pixel = block * kPixels; pixel < std::min(pixels, (block + 1) * kPixels); ++pixel)
        still = std::min(still, conv.first_read(pixel));
      distance = std::max(distance, block * kPixels * conv.out_channels - still);
    }
    return distance;
  }
  static int64_t pool_distance(const Sliding& pool) {
    int64_t still = std::numeric_limits<int64_t>::max();
    int64_t distance = -pool.input_bytes();
    for (int64_t pixel = pool.pixels() - 1; pixel >= 0; --pixel) {
      still = std::min(still, pool.first_read(pixel));
      distance = std::max(distance, (pixel + 1) * pool.channels - still);
    }
    return distance;
  }
  [[nodiscard]] int64_t band_distance(const CStep& step) const {
    const Sliding conv = sliding(graph_, graph_.operators[step.op]).value();
    const Tensor& output = int8::output_tensor(graph_, graph_.operators[step.reader.value()]);
    const int rows = output.dims[1];
    const int64_t row_bytes = output.bytes() / rows;
    int64_t distance = -conv.input_bytes();
    for (int row = step.band_rows; row < rows; row += step.band_rows)
      distance =
          std::max(distance, row * row_bytes - conv.first_read(band(step, row).first * conv.out_width));
    return distance;
  }

  const QuantGraph& graph_;
  Bands bands_;
  CPlan plan_;
  std::vector<Overlap> overlaps_;
};

}  // namespace

Rows rows_for_reader(const QuantGraph& graph, const Operator& reader, int row) {
  const auto window = sliding(graph, reader);
  if (!window) return {row, row + 1};
  const int64_t first = row * window->stride_height - window->pad_top;
  return {static_cast<int>(std::max<int64_t>(first, 0)),
          static_cast<int>(std::min(first + window->filter_height, window->height))};
}

CPlan plan_c(const QuantGraph& graph) {
  CPlan with = Planner(graph, Planner::Bands::Used).run();
  const bool banded = std::any_of(with.steps.begin(), with.steps.end(),
                                  [](const CStep& step) { return step.reader.has_value(); });
  if (!banded) return with;
  CPlan without = Planner(graph, Planner::Bands::Unused).run();
  return without.arena_bytes <= with.arena_bytes ? std::move(without) : std::move(with);
}

}  // namespace retort::cost
