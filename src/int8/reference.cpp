#include "int8/reference.h"

#include <algorithm>
#include <cstring>

#include "base/error.h"
#include "int8/check.h"
#include "int8/kernel_parameters.h"

namespace retort::int8 {

namespace {

int64_t total_bytes(const QuantGraph& graph, const std::vector<int>& tensors) {
  int64_t total = 0;
  for (const int index : tensors) total += graph.tensors[static_cast<size_t>(index)].bytes();
  return total;
}

// Runs one operator on byte buffers.
class Kernel {
 public:
  Kernel(const QuantGraph& graph, const Operator& op, std::vector<std::vector<uint8_t>>& values)
      : graph_(graph), op_(op), values_(values) {}

  void operator()(const Conv2D& conv) const {
    const LayerParameters p = layer_parameters(graph_, op_);
    const std::vector<int>& kernel = in(1).dims;
    const int channels = in(0).dims[3];
    for_each_window(conv, kernel[1], kernel[2], [&](size_t cell, const auto& for_each_tap) {
      for (int o = 0; o < kernel[0]; ++o) {
        int32_t sum = 0;
        for_each_tap([&](size_t input, size_t tap) {
          for (int c = 0; c < channels; ++c)
            sum = wrapping_add(sum, weight(index(o, kernel[1] * kernel[2], tap, channels, c)) *
                                        (x(input * static_cast<size_t>(channels) + static_cast<size_t>(c)) -
                                         p.input_zero_point));
        });
        store(cell * static_cast<size_t>(kernel[0]) + static_cast<size_t>(o),
              requantise(p, static_cast<size_t>(o), sum));
      }
    });
  }

  void operator()(const DepthwiseConv2D& conv) const {
    const LayerParameters p = layer_parameters(graph_, op_);
    const std::vector<int>& kernel = in(1).dims;
    const auto in_channels = static_cast<size_t>(in(0).dims[3]);
    const auto channels = static_cast<size_t>(kernel[3]);
    for_each_window(conv, kernel[1], kernel[2], [&](size_t cell, const auto& for_each_tap) {
      for (size_t o = 0; o < channels; ++o) {
        const size_t c = o / static_cast<size_t>(conv.depth_multiplier);
        int32_t sum = 0;
        for_each_tap([&](size_t input, size_t tap) {
          sum = wrapping_add(sum,
                             weight(tap * channels + o) * (x(input * in_channels + c) - p.input_zero_point));
        });
        store(cell * channels + o, requantise(p, o, sum));
      }
    });
  }

  void operator()(const FullyConnected&) const {
    const LayerParameters p = layer_parameters(graph_, op_);
    const auto outputs = static_cast<size_t>(in(1).dims[0]);
    const auto inputs = static_cast<size_t>(in(1).dims[1]);
    const size_t rows = static_cast<size_t>(in(0).elements()) / inputs;
    for (size_t row = 0; row < rows; ++row)
      for (size_t o = 0; o < outputs; ++o) {
        int32_t sum = 0;
        for (size_t i = 0; i < inputs; ++i)
          sum = wrapping_add(sum, weight(o * inputs + i) * (x(row * inputs + i) - p.input_zero_point));
        store(row * outputs + o, requantise(p, o, sum));
      }
  }

  void operator()(const MaxPool2D& pool) const {
    const ValueRange range = activation_range(pool.activation, out());
    for_each_pooled(pool, [&](size_t output, const auto& for_each_value) {
      int32_t maximum = -128;
      for_each_value([&](int32_t value) { maximum = std::max(maximum, value); });
      store(output, static_cast<int8_t>(std::min(std::max(maximum, range.minimum), range.maximum)));
    });
  }

  void operator()(const AveragePool2D& pool) const {
    const ValueRange range = activation_range(pool.activation, out());
    for_each_pooled(pool, [&](size_t output, const auto& for_each_value) {
      int32_t sum = 0;
      int32_t cells = 0;
      for_each_value([&](int32_t value) {
        sum += value;
        ++cells;
      });
      store(output, average(sum, cells, range));
    });
  }

  void operator()(const AddOp&) const {
    const AddParameters p = add_parameters(graph_, op_);
    for (size_t i = 0; i < output().size(); ++i) store(i, add(p, x(i), static_cast<int8_t>(input(1)[i])));
  }

  void operator()(const Mean&) const {
    const MeanParameters p = mean_parameters(graph_, op_);
    const size_t channels = output().size();
    for (size_t c = 0; c < channels; ++c) {
      int32_t sum = 0;
      for (size_t i = c; i < input(0).size(); i += channels) sum += x(i);
      store(c, mean(p, sum));
    }
  }

  void operator()(const Reshape&) const { output() = input(0); }

  void operator()(const SoftmaxOp&) const {
    const SoftmaxParameters p = softmax_parameters(graph_, op_);
    const auto row = static_cast<size_t>(in(0).dims.back());
    for (size_t first = 0; first < output().size(); first += row)
      softmax_row(p, {reinterpret_cast<const int8_t*>(input(0).data()) + first, row},
                  {reinterpret_cast<int8_t*>(output().data()) + first, row});
  }

  void operator()(const ReluOp&) const { look_up(); }
  void operator()(const Relu6Op&) const { look_up(); }

  void operator()(const Quantize&) const {
    if (in(0).type == Type::Int8) {
      look_up();
      return;
    }
    for (size_t i = 0; i < output().size(); ++i) {
      float value = 0;
      std::memcpy(&value, input(0).data() + i * sizeof(float), sizeof(float));
      store(i, quantize(value, tensor_scale(out()), tensor_zero_point(out())));
    }
  }

  void operator()(const Dequantize&) const {
    for (size_t i = 0; i < input(0).size(); ++i) {
      const float value = dequantize(x(i), tensor_scale(in(0)), tensor_zero_point(in(0)));
      std::memcpy(output().data() + i * sizeof(float), &value, sizeof(float));
    }
  }

 private:
  [[nodiscard]] const Tensor& in(size_t i) const { return input_tensor(graph_, op_, i); }
  [[nodiscard]] const Tensor& out() const { return output_tensor(graph_, op_); }
  [[nodiscard]] std::vector<uint8_t>& input(size_t i) const {
    return values_[static_cast<size_t>(op_.inputs[i])];
  }
  [[nodiscard]] std::vector<uint8_t>& output() const { return values_[static_cast<size_t>(op_.outputs[0])]; }
  [[nodiscard]] int8_t x(size_t i) const { return static_cast<int8_t>(input(0)[i]); }
  [[nodiscard]] int8_t weight(size_t i) const { return static_cast<int8_t>(input(1)[i]); }
  void store(size_t i, int8_t value) const { output()[i] = static_cast<uint8_t>(value); }

  static size_t index(int o, int taps, size_t tap, int channels, int c) {
    return (static_cast<size_t>(o) * static_cast<size_t>(taps) + tap) * static_cast<size_t>(channels) +
           static_cast<size_t>(c);
  }

  static int8_t requantise(const LayerParameters& p, size_t channel, int32_t sum) {
    const int32_t value = wrapping_add(multiply(wrapping_add(sum, p.bias[channel]), p.multipliers[channel]),
                                       p.output_zero_point);
    return static_cast<int8_t>(std::min(std::max(value, p.range.minimum), p.range.maximum));
  }

  // For each output cell, body(cell, for_each_tap); for_each_tap(f) calls f(input cell, tap) for the taps
  // that lie inside the input.
  template <typename Body>
  void for_each_window(const WindowOp& window, int filter_height, int filter_width, const Body& body) const {
    const int height = in(0).dims[1];
    const int width = in(0).dims[2];
    const graph::WindowGeometry placement =
        window_geometry(window, filter_height, filter_width, height, width);
    for (int oy = 0; oy < placement.out_height; ++oy)
      for (int ox = 0; ox < placement.out_width; ++ox)
        body(static_cast<size_t>(oy) * static_cast<size_t>(placement.out_width) + static_cast<size_t>(ox),
             [&](const auto& visit) {
               for (int ky = 0; ky < filter_height; ++ky) {
                 const int y = oy * window.stride_height - placement.pad_top + ky * window.dilation_height;
                 if (y < 0 || y >= height) continue;
                 for (int kx = 0; kx < filter_width; ++kx) {
                   const int xx = ox * window.stride_width - placement.pad_left + kx * window.dilation_width;
                   if (xx < 0 || xx >= width) continue;
                   visit(
                       static_cast<size_t>(y) * static_cast<size_t>(width) + static_cast<size_t>(xx),
                       static_cast<size_t>(ky) * static_cast<size_t>(filter_width) + static_cast<size_t>(kx));
                 }
               }
             });
  }

  template <typename Pool, typename Body>
  void for_each_pooled(const Pool& pool, const Body& body) const {
    const auto channels = static_cast<size_t>(in(0).dims[3]);
    for_each_window(pool, pool.filter_height, pool.filter_width, [&](size_t cell, const auto& for_each_tap) {
      for (size_t c = 0; c < channels; ++c)
        body(cell * channels + c, [&](const auto& visit) {
          for_each_tap([&](size_t input_cell, size_t) { visit(x(input_cell * channels + c)); });
        });
    });
  }

  void look_up() const {
    const ByteTable table = unary_table(graph_, op_);
    for (size_t i = 0; i < output().size(); ++i) store(i, table[static_cast<size_t>(x(i) + 128)]);
  }

  const QuantGraph& graph_;
  const Operator& op_;
  std::vector<std::vector<uint8_t>>& values_;
};

}  // namespace

Interpreter::Interpreter(QuantGraph graph) : graph_(std::move(graph)) {
  check(graph_, "the int8 network");
  for (const Tensor& tensor : graph_.tensors)
    values_.push_back(tensor.constant() ? tensor.data
                                        : std::vector<uint8_t>(static_cast<size_t>(tensor.bytes())));
}

int64_t Interpreter::input_bytes() const {
  return total_bytes(graph_, graph_.inputs);
}
int64_t Interpreter::output_bytes() const {
  return total_bytes(graph_, graph_.outputs);
}

void Interpreter::invoke(std::span<const uint8_t> input_bytes, std::span<uint8_t> output_bytes) {
  if (static_cast<int64_t>(input_bytes.size()) != this->input_bytes())
    throw_usage("the int8 network's input has {} bytes; {} are expected", input_bytes.size(),
                this->input_bytes());
  if (static_cast<int64_t>(output_bytes.size()) != this->output_bytes())
    throw_usage("the room for the int8 network's output has {} bytes; {} are expected", output_bytes.size(),
                this->output_bytes());
  const uint8_t* from = input_bytes.data();
  for (const int input : graph_.inputs) {
    std::vector<uint8_t>& value = values_[static_cast<size_t>(input)];
    std::copy_n(from, value.size(), value.begin());
    from += value.size();
  }
  for (const Operator& op : graph_.operators) std::visit(Kernel(graph_, op, values_), op.kind);
  uint8_t* to = output_bytes.data();
  for (const int output : graph_.outputs) {
    const std::vector<uint8_t>& value = values_[static_cast<size_t>(output)];
    to = std::copy(value.begin(), value.end(), to);
  }
}

}  // namespace retort::int8
