#include "cost/c_work.h"

#include <algorithm>
#include <array>

#include "int8/kernel_parameters.h"

namespace retort::cost {

namespace {

using int8::Operator;
using int8::QuantGraph;
using int8::Tensor;

// Instructions for one of each count, in CWork's order: fitted by bench/c_instructions.py to what QEMU counts.
using Table = std::array<std::vector<double>, kCKernels>;
const Table& table(CVariant variant) {
  static const Table dsp = {
      std::vector<double>{13.62, 2.202, 69.26, 15.49, 6.182, 41.99, 0, 6.386, 6.347, 19.49, 22.12, 55.63, 183,
                          12.01},
      std::vector<double>{33.13, 5.311, 0.8394, 0, 4.349, 338.4, 231.7},
      std::vector<double>{4.195, 7.641, 45.71, 4.342, 5.711, 26.9, 4.844, 13.81, 82.7, 130.4},
      std::vector<double>{7.722, 36.02, 89.47},
      std::vector<double>{5.528, 12.83, 66.21, 7.83, 8.918, 21.41, 52.21, 65.54},
      std::vector<double>{5.979, 8.123, 25.87, 51.7, 50.75},
      std::vector<double>{38.75, 64.24},
      std::vector<double>{5.051, 40.45, 22.16},
      std::vector<double>{323.5, 0, 0},
      std::vector<double>{5.967, 19.2},
      std::vector<double>{245.9, 1183},
      std::vector<double>{87.94, 28.42},
      std::vector<double>{0}};
  static const Table plain = {
      std::vector<double>{44.59, 1.853, 139.7, 55.24, 3.042, 34.39, 0, 38.15, 8.395, 18.99, 15.05, 120, 0, 0},
      std::vector<double>{115.6, 4.77, 19.71, 13.57, 3.114, 50.35, 191.6},
      std::vector<double>{14.59, 0, 42.04, 3.879, 17.33, 21.2, 5.446, 3.035, 43.53, 79.38},
      std::vector<double>{20.22, 29.8, 55.56},
      std::vector<double>{30.77, 36.42, 83.92, 7.931, 8.335, 21.56, 46.25, 43.48},
      std::vector<double>{5.982, 8.112, 25.87, 51.67, 51.72},
      std::vector<double>{49.75, 71.54},
      std::vector<double>{5.054, 40.32, 23.5},
      std::vector<double>{323.5, 0, 0},
      std::vector<double>{5.956, 17.6},
      std::vector<double>{249.2, 954.5},
      std::vector<double>{88.13, 26.05},
      std::vector<double>{0}};
  return variant == CVariant::Dsp ? dsp : plain;
}

double up(int64_t value, int64_t multiple) {
  const int64_t whole = (value + multiple - 1) / multiple;
  return static_cast<double>(whole);
}

class Counter {
 public:
  Counter(const QuantGraph& graph, const Operator& op, const CStep* step)
      : graph_(graph), op_(op), step_(step) {}

  // Blocks × filters × quads, and of these the ones beside whole fours of quads; blocks × filters. Where the
  // input's channels are a multiple of 4, windows by line: sixteens of bytes, fours beside, lines; and at the
  // image's left and right edge by cell: fours, cells. Elsewhere: bytes, cells at the edge, lines. Pixels;
  // blocks.
  CWork operator()(const int8::Conv2D& conv) const {
    const std::vector<int>& filter = in(1).dims;
    const std::vector<int>& output = out().dims;
    const int64_t channels = filter[3];
    const int64_t window = int64_t{filter[1]} * filter[2] * channels;
    const double pixels = static_cast<double>(output[1]) * output[2];
    double blocks = up(int64_t{output[1]} * output[2], 4);
    if (step_->reader) {
      const Operator& reader = graph_.operators[step_->reader.value()];
      const int rows = int8::output_tensor(graph_, reader).dims[1];
      blocks = 0;
      for (int row = 0; row < rows; row += step_->band_rows) {
        const Rows first = rows_for_reader(graph_, reader, row);
        const Rows last = rows_for_reader(graph_, reader, std::min(row + step_->band_rows, rows) - 1);
        blocks += up(int64_t{last.last - first.first} * output[2], 4);
      }
    }
    const bool direct = channels % 4 == 0;
    const double lines = pixels * filter[1];
    const double edges = edge_columns(conv, filter[2]) * output[1] * filter[1];
    const double cells = edges * filter[2];
    const double whole = direct ? lines - edges : 0;
    const int64_t line_quads = filter[2] * channels / 4;
    const int64_t line_sixteens = line_quads / 4;
    const int64_t cell_quads = channels / 4;
    const double quads = up(window, 4);
    return {CKernel::Conv2D,
            {blocks * filter[0] * quads, blocks * filter[0] * static_cast<double>((window + 3) / 4 % 4),
             blocks * filter[0], whole * static_cast<double>(line_sixteens),
             whole * static_cast<double>(line_quads % 4), whole,
             direct ? cells * static_cast<double>(cell_quads) : 0, direct ? cells : 0,
             direct ? 0 : pixels * static_cast<double>(window), direct ? 0 : cells, direct ? 0 : lines,
             pixels, blocks, 1}};
  }

  // 3 × 3: outputs; values copied into planes; lines of planes, of input and of output; planes.
  // Others: taps, rows of filters and outputs beside.
  CWork operator()(const int8::DepthwiseConv2D& conv) const {
    const std::vector<int>& filter = in(1).dims;
    const std::vector<int>& output = out().dims;
    const std::vector<int>& input = in(0).dims;
    const double outputs = static_cast<double>(out().elements());
    const double copied = static_cast<double>(in(0).elements());
    const double in_lines = static_cast<double>(input[1]) * input[3];
    const double out_lines = static_cast<double>(output[1]) * output[3];
    const double plane = (static_cast<double>(output[1] - 1) * conv.stride_height + filter[1]) *
                         (static_cast<double>(output[2] - 1) * conv.stride_width + filter[2]);
    if (filter[1] == 3 && filter[2] == 3 && conv.dilation_width == 1)
      return {CKernel::Depthwise3x3,
              {outputs, copied, in_lines, out_lines, plane, static_cast<double>(output[3]), 1}};
    return {
        CKernel::Depthwise,
        {outputs * filter[1] * up(filter[2], 2), outputs * filter[1], outputs, copied, in_lines, out_lines,
         plane, static_cast<double>(output[3]) * filter[1] * filter[2], static_cast<double>(output[3]), 1}};
  }

  // Quads; outputs.
  CWork operator()(const int8::FullyConnected&) const {
    const int64_t inputs = in(1).dims[1];
    const double outputs = static_cast<double>(out().elements());
    return {CKernel::FullyConnected, {outputs * up(inputs, 4), outputs, 1}};
  }

  // Channels in fours and ones, each: values read, lines of windows, outputs. Windows; bands.
  CWork operator()(const int8::MaxPool2D& pool) const {
    const Inside inside = inside_of(pool, pool.filter_height, pool.filter_width);
    const int whole_fours = out().dims[3] / 4;
    const double fours = whole_fours;
    const double ones = out().dims[3] % 4;
    return {CKernel::MaxPool,
            {inside.cells * fours, inside.lines * fours, inside.windows * fours, inside.cells * ones,
             inside.lines * ones, inside.windows * ones, inside.windows, bands()}};
  }
  // Values read; lines of windows; outputs; windows; bands.
  CWork operator()(const int8::AveragePool2D& pool) const {
    const Inside inside = inside_of(pool, pool.filter_height, pool.filter_width);
    const double channels = out().dims[3];
    return {CKernel::AveragePool,
            {inside.cells * channels, inside.lines * channels, inside.windows * channels, inside.windows,
             bands()}};
  }
  CWork operator()(const int8::AddOp&) const {
    return {CKernel::Add, {static_cast<double>(out().elements()), bands()}};
  }
  CWork operator()(const int8::Mean&) const {
    return {CKernel::Mean, {static_cast<double>(in(0).elements()), static_cast<double>(out().elements()), 1}};
  }
  CWork operator()(const int8::SoftmaxOp&) const {
    return {CKernel::Softmax,
            {static_cast<double>(out().elements()), static_cast<double>(out().elements()) / out().dims.back(),
             1}};
  }
  CWork operator()(const int8::ReluOp&) const { return by_element(CKernel::LookUp); }
  CWork operator()(const int8::Relu6Op&) const { return by_element(CKernel::LookUp); }
  CWork operator()(const int8::Quantize&) const {
    return by_element(in(0).type == int8::Type::Int8 ? CKernel::LookUp : CKernel::Quantize);
  }
  CWork operator()(const int8::Dequantize&) const { return by_element(CKernel::Dequantize); }
  CWork operator()(const int8::Reshape&) const { return {CKernel::Reshape, {1}}; }

 private:
  [[nodiscard]] const Tensor& in(size_t i) const { return int8::input_tensor(graph_, op_, i); }
  [[nodiscard]] const Tensor& out() const { return int8::output_tensor(graph_, op_); }
  [[nodiscard]] CWork by_element(CKernel kernel) const {
    return {kernel, {static_cast<double>(out().elements()), 1}};
  }
  // How often the kernel is called.
  [[nodiscard]] double bands() const { return step_->reader ? up(out().dims[1], step_->band_rows) : 1; }
  // Of a pool's windows what lies within the image.
  struct Inside {
    double cells = 0;
    double lines = 0;
    double windows = 0;
  };
  [[nodiscard]] Inside inside_of(const int8::WindowOp& pool, int filter_height, int filter_width) const {
    const std::vector<int>& input = in(0).dims;
    const graph::WindowGeometry geometry =
        int8::window_geometry(pool, filter_height, filter_width, input[1], input[2]);
    const auto covered = [](int outputs, int stride, int pad, int filter, int size) {
      double sum = 0;
      for (int o = 0; o < outputs; ++o)
        sum += std::min(o * stride - pad + filter, size) - std::max(o * stride - pad, 0);
      return sum;
    };
    const double rows = covered(out().dims[1], pool.stride_height, geometry.pad_top, filter_height, input[1]);
    const double columns =
        covered(out().dims[2], pool.stride_width, geometry.pad_left, filter_width, input[2]);
    return {.cells = rows * columns,
            .lines = rows * out().dims[2],
            .windows = static_cast<double>(out().dims[1]) * out().dims[2]};
  }
  // Columns of the output whose windows reach over the image's left or right edge.
  [[nodiscard]] double edge_columns(const int8::WindowOp& window, int filter_width) const {
    const int width = in(0).dims[2];
    const int pad = int8::window_geometry(window, in(1).dims[1], filter_width, in(0).dims[1], width).pad_left;
    int count = 0;
    for (int column = 0; column < out().dims[2]; ++column) {
      const int left = column * window.stride_width - pad;
      if (window.dilation_width != 1 || left < 0 || left + filter_width > width) ++count;
    }
    return count;
  }

  const QuantGraph& graph_;
  const Operator& op_;
  const CStep* step_;
};

}  // namespace

std::string_view to_string(CKernel kernel) {
  constexpr std::array<std::string_view, kCKernels> kNames = {
      "conv2d", "depthwise 3x3", "depthwise", "fully connected", "max pool",   "average pool", "add",
      "mean",   "softmax",       "look up",   "quantize",        "dequantize", "reshape"};
  return kNames.at(static_cast<size_t>(kernel));
}

std::vector<CWork> c_work(const QuantGraph& graph, const CPlan& plan) {
  std::vector<CWork> all;
  all.reserve(graph.operators.size());
  for (const CStep& step : plan.steps) {
    const auto add = [&](size_t k) {
      all.push_back(std::visit(Counter(graph, graph.operators[k], &step), graph.operators[k].kind));
    };
    add(step.op);
    if (step.reader) add(*step.reader);
  }
  return all;
}

double c_instructions(const std::vector<CWork>& work, CVariant variant) {
  double sum = 0;
  for (const CWork& one : work) {
    const std::vector<double>& costs = table(variant)[static_cast<size_t>(one.kernel)];
    for (size_t i = 0; i < one.counts.size() && i < costs.size(); ++i) sum += one.counts[i] * costs[i];
  }
  return sum;
}

double c_extra_cycles(const std::vector<CWork>& work, CVariant variant) {
  if (variant == CVariant::Plain) return 0;
  // Two loads a quad, of five cycles each (Cortex-M4 Technical Reference Manual, 1 + N for N registers), where a
  // board's usual instruction takes about 1.3.
  constexpr double kCyclesAQuad = 2 * (5 - 1.3);
  double quads = 0;
  for (const CWork& one : work)
    if (one.kernel == CKernel::Conv2D) quads += one.counts[0];
  return quads * kCyclesAQuad;
}

}  // namespace retort::cost
