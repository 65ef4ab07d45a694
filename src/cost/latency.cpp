#include "cost/latency.h"

#include <fmt/format.h>

#include <algorithm>
#include <cmath>

#include "base/json.h"
#include "cost/c_work.h"

namespace retort::cost {
namespace {

// Of the instructions, beside the board's own uncertainty. Nineteen of twenty networks are within 7 % (C); no
// board was at hand to see how many cycles our kernels take there, hence the other tenth.
constexpr double kCError = 0.12;
constexpr double kTflmError = 0.03;

// ---- TensorFlow Lite Micro ----------------------------------------------------------------------------------
// Its reference kernels at -O2, as its own make builds them, counted on an emulated Cortex-M4: 138 networks and
// 280 single operators. On networks that the fit did not see the error is 1.0 % at most.

// Places of a kernel along one side that lie inside the input, over all outputs.
double places_inside(int input, int output, int kernel, int stride, int dilation, graph::Padding padding) {
  const int total = std::max((output - 1) * stride + (kernel - 1) * dilation + 1 - input, 0);
  const int before = padding == graph::Padding::Same ? total / 2 : 0;
  int64_t count = 0;
  for (int64_t i = 0; i < output; ++i) {
    const int64_t at = i * stride - before;  // of the first place; the k-th lies k · dilation behind it
    const int64_t first = at < 0 ? (-at + dilation - 1) / dilation : 0;
    const int64_t end = at < input ? (input - 1 - at) / dilation + 1 : 0;
    count += std::max<int64_t>(std::min<int64_t>(end, kernel) - first, 0);
  }
  return static_cast<double>(count);
}

class TflmInstructions {
 public:
  TflmInstructions(const int8::QuantGraph& graph, const int8::Operator& op)
      : input_(tensor(graph, op.inputs[0])),
        output_(tensor(graph, op.outputs[0])),
        kernel_(op.inputs.size() > 1 ? &tensor(graph, op.inputs[1]) : nullptr),
        macs_(static_cast<double>(int8::operator_macs(graph, op))),
        inputs_(static_cast<double>(input_.elements())),
        outputs_(static_cast<double>(output_.elements())) {}

  double operator()(const int8::Conv2D& conv) const {
    const Window w = window(conv, kernel_->dims[1], kernel_->dims[2]);
    const double taps = w.inside * channels();
    return 6.0032 * taps * kernel_->dims.back() + 35.8362 * taps + 8.0384 * (w.all - w.inside) * channels() +
           13.8513 * outputs_ * kernel_->dims[1] + 81.6958 * outputs_ + 28.2278 * pixels() + 545.9966;
  }
  double operator()(const int8::DepthwiseConv2D& conv) const {
    const Window w = window(conv, kernel_->dims[1], kernel_->dims[2]);
    return 27.9871 * w.inside * channels() + 7.6792 * (w.all - w.inside) * channels() +
           15.0791 * outputs_ * kernel_->dims[1] + 110.9774 * outputs_ + 27.7179 * pixels() + 560.3067;
  }
  double operator()(const int8::MaxPool2D& pool) const {
    const Window w = window(pool, pool.filter_height, pool.filter_width);
    return 8.094 * w.inside * channels() + 12.7629 * w.rows_inside * output_.dims[2] * channels() +
           54.1143 * outputs_ + 13.9047 * pixels() + 278.2653;
  }
  double operator()(const int8::AveragePool2D& pool) const {
    const Window w = window(pool, pool.filter_height, pool.filter_width);
    return 5.9793 * w.inside * channels() + 9.2517 * w.rows_inside * output_.dims[2] * channels() +
           48.4351 * outputs_ + 32.5578 * pixels() + 287.1515;
  }
  double operator()(const int8::FullyConnected&) const {
    return 5.9894 * macs_ + 60.4984 * outputs_ + 0.141 * inputs_ + 429.3859;
  }
  double operator()(const int8::AddOp&) const { return 86.412 * outputs_ + 650.2565; }
  double operator()(const int8::Mean&) const { return 131.343 * inputs_ + 37.1481 * outputs_ + 954.418; }
  double operator()(const int8::Reshape&) const { return 0.5348 * outputs_ + 189.1073; }
  double operator()(const int8::SoftmaxOp&) const { return 452.0425 * outputs_ + 416.4724; }
  double operator()(const int8::ReluOp&) const { return 48.5592 * outputs_ + 190.9388; }
  double operator()(const int8::Relu6Op&) const { return 13.9398 * outputs_ + 224.0617; }
  double operator()(const int8::Quantize&) const {
    return input_.type == int8::Type::Float32 ? 191.2943 * outputs_ + 165.3834 : 43.5266 * outputs_ + 143.669;
  }
  double operator()(const int8::Dequantize&) const { return 105.2421 * outputs_ + 143.8867; }

 private:
  struct Window {
    double inside = 0;       // places of the kernel inside the input, over all pixels of the output
    double all = 0;          // those in the padding too
    double rows_inside = 0;  // over all rows of the output
  };
  static const int8::Tensor& tensor(const int8::QuantGraph& graph, int index) {
    return graph.tensors[static_cast<size_t>(index)];
  }
  [[nodiscard]] double pixels() const { return static_cast<double>(output_.dims[1]) * output_.dims[2]; }
  [[nodiscard]] double channels() const { return output_.dims[3]; }
  [[nodiscard]] Window window(const int8::WindowOp& op, int height, int width) const {
    Window w;
    w.rows_inside = places_inside(input_.dims[1], output_.dims[1], height, op.stride_height,
                                  op.dilation_height, op.padding);
    w.inside = w.rows_inside * places_inside(input_.dims[2], output_.dims[2], width, op.stride_width,
                                             op.dilation_width, op.padding);
    w.all = pixels() * height * width;
    return w;
  }

  const int8::Tensor& input_;
  const int8::Tensor& output_;
  const int8::Tensor* kernel_;
  double macs_;
  double inputs_;
  double outputs_;
};

double tflm_instructions(const int8::QuantGraph& graph) {
  constexpr double kAnOperator = 40;
  double instructions = 65;
  for (const int8::Operator& op : graph.operators)
    instructions += kAnOperator + std::visit(TflmInstructions(graph, op), op.kind);
  return instructions;
}

Latency latency_of(double instructions, double extra_cycles, double model_error, const Board& board) {
  constexpr double kMost = 9e18;  // of an absurd file
  const double cycles = instructions * board.cycles_per_instruction + extra_cycles;
  return {.instructions = std::llround(std::min(instructions, kMost)),
          .milliseconds = cycles / static_cast<double>(board.clock_hz) * 1e3,
          .error_fraction = std::hypot(model_error, board.cycles_error)};
}

}  // namespace

Latency tflm_latency(const int8::QuantGraph& graph, const Board& board) {
  return latency_of(tflm_instructions(graph), 0, kTflmError, board);
}

Latency c_latency(const std::vector<CWork>& work, const Board& board) {
  const CVariant variant = traits(board.core).kernels == Kernels::Dsp ? CVariant::Dsp : CVariant::Plain;
  return latency_of(c_instructions(work, variant), c_extra_cycles(work, variant), kCError, board);
}

std::string latency_text(const Latency& latency) {
  const double ms = latency.milliseconds;
  return fmt::format("{:.{}f} ms ± {:.0f} %", ms,
                     ms < 10    ? 2
                     : ms < 100 ? 1
                                : 0,
                     latency.error_fraction * 100);
}

void to_json(Json& json, const Latency& latency) {
  json = {{"instructions", latency.instructions},
          {"milliseconds", latency.milliseconds},
          {"error", latency.error_fraction}};
}

void from_json(const Json& json, Latency& latency) {
  latency = {.instructions = json.at("instructions"),
             .milliseconds = json.at("milliseconds"),
             .error_fraction = json.at("error")};
}

}  // namespace retort::cost
