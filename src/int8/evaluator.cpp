#include "int8/evaluator.h"

#include <algorithm>
#include <cstdlib>
#include <cstring>
#include <optional>
#include <variant>

#include "base/error.h"
#include "int8/check.h"
#include "int8/evaluator_kernels.h"
#include "int8/evaluator_vnni.h"

namespace retort::int8 {

namespace {

constexpr size_t kMostImages = 32;  // in one batch
// Of a layer's tensors in one batch, so that caches hold them.
constexpr size_t kBatchBytes = size_t{1} << 19;
constexpr size_t kSlack = kernels::kBeyond;        // elements beyond a tensor that kernels may touch
constexpr size_t kMostExpanded = size_t{1} << 26;  // elements of an expanded batch
// Of packed weights and windows, and of one evaluator's tensors: a few numbers in a file can ask for a lot.
constexpr size_t kMostBytes = size_t{1} << 28;

// Where an expanded input's windows begin, for a whole batch; the first n · rows are those of n images.
struct Windows {
  kernels::Border border;
  std::vector<uint32_t> origins;
  size_t rows = 0;  // an image
};

struct LayerStep {
  Windows windows;
  kernels::PackedLayer layer;
};
struct VnniLayerStep {
  Windows windows;
  kernels::vnni::Layer layer;
};
struct DepthwiseStep {
  Windows windows;
  kernels::PackedDepthwise layer;
};
struct VnniDepthwiseStep {
  Windows windows;  // of one image
  kernels::vnni::Depthwise layer;
};
struct PoolStep {
  WindowOp window;
  int filter_height = 0;
  int filter_width = 0;
  int height = 0;
  int width = 0;
  size_t channels = 0;
  graph::WindowGeometry placement;
  ValueRange range;
  bool is_average = false;
};
struct AddStep {
  AddParameters parameters;
};
struct VnniAddStep {
  kernels::vnni::Add add;
};
struct MeanStep {
  MeanParameters parameters;
  size_t channels = 0;
};
struct SoftmaxStep {
  ExponentialTable exponentials{};
  size_t row = 0;
};
struct TableStep {  // indexed by the byte as it lies in memory
  std::array<int8_t, 256> table{};
};
struct CopyStep {};

using Work = std::variant<LayerStep, VnniLayerStep, DepthwiseStep, VnniDepthwiseStep, PoolStep, AddStep,
                          VnniAddStep, MeanStep, SoftmaxStep, TableStep, CopyStep>;

struct Step {
  Work work;
  std::array<int, 2> inputs{-1, -1};
  int output = -1;
};

// That a step needs for its input's expanded form.
size_t expanded_bytes(const Work& work, size_t batch) {
  if (const auto* layer = std::get_if<LayerStep>(&work))
    return layer->windows.border.size() * batch * sizeof(int16_t);
  if (const auto* layer = std::get_if<VnniLayerStep>(&work)) return layer->windows.border.size() * batch;
  if (const auto* layer = std::get_if<DepthwiseStep>(&work))
    return layer->windows.border.size() * batch * sizeof(float);
  if (const auto* layer = std::get_if<VnniDepthwiseStep>(&work))
    return kernels::vnni::depthwise_scratch_bytes(layer->windows.border);
  return 0;
}

int extent(int filter, int dilation) {
  return (filter - 1) * dilation + 1;
}

}  // namespace

struct Evaluator::Plan {
  std::vector<Step> steps;
  std::vector<size_t> elements;                 // of each tensor
  std::vector<int> slot;                        // of each tensor, the memory that holds it; −1: none
  std::vector<size_t> slot_elements;            // an image
  std::vector<std::vector<uint8_t>> constants;  // of each tensor that is constant and read as an activation
  int input = -1;
  int output = -1;
  // What each byte of an image enters as; nothing where that is the byte − 128.
  std::optional<ByteTable> input_table;
  size_t batch = 1;
  size_t most_expanded = 0;  // bytes of a layer's expanded input
  size_t most_channels = 0;
};

struct Evaluator::Memory {
  explicit Memory(const Plan& plan)
      : expanded(plan.most_expanded + kSlack * sizeof(int32_t)), sums(plan.most_channels + kernels::kBeyond) {
    for (const size_t elements : plan.slot_elements) slots.emplace_back(elements * plan.batch + kSlack);
    for (size_t i = 0; i < plan.constants.size(); ++i)
      for (size_t image = 0; image < plan.batch && !plan.constants[i].empty(); ++image)
        std::memcpy(slots[static_cast<size_t>(plan.slot[i])].data() + image * plan.elements[i],
                    plan.constants[i].data(), plan.elements[i]);
  }
  std::vector<AlignedVector<int8_t>> slots;
  AlignedVector<uint8_t> expanded;
  std::vector<int32_t> sums;
};

namespace {

// Compiles a graph to steps.
class Planner {
 public:
  explicit Planner(const QuantGraph& graph) : graph_(graph) { check(graph, "the int8 network"); }

  // The output's tensor, or the int8 one that its DEQUANTIZE reads; the DEQUANTIZE itself becomes no step.
  [[nodiscard]] int int8_output() const {
    const int output = graph_.outputs[0];
    if (tensor(output).type == Type::Int8) return output;
    for (const Operator& op : graph_.operators)
      if (op.outputs[0] == output && std::holds_alternative<Dequantize>(op.kind)) return op.inputs[0];
    throw_usage("the int8 network's float32 output must come from a DEQUANTIZE");
  }

  [[nodiscard]] bool skips(const Operator& op) const {
    return std::holds_alternative<Dequantize>(op.kind) && op.outputs[0] == graph_.outputs[0];
  }

  void require_supported() const {
    if (graph_.inputs.size() != 1 || graph_.outputs.size() != 1)
      throw_usage("the int8 network has {} inputs and {} outputs; one of each can be evaluated",
                  graph_.inputs.size(), graph_.outputs.size());
    for (size_t i = 0; i < graph_.operators.size(); ++i) {
      const Operator& op = graph_.operators[i];
      if (skips(op)) continue;
      const bool reads_float = tensor(op.inputs[0]).type == Type::Float32;
      if (tensor(op.outputs[0]).type != Type::Int8 || (reads_float && op.inputs[0] != graph_.inputs[0]))
        throw_usage("operator {} ({}) computes float32 inside the network; only its ends may be float32", i,
                    operator_name(op.kind));
    }
  }

  [[nodiscard]] size_t batch() const {
    size_t largest = 1;
    for (const Operator& op : graph_.operators)
      largest = std::max(largest, static_cast<size_t>(tensor(op.inputs[0]).elements() * 3 +
                                                      tensor(op.outputs[0]).elements()));
    return std::clamp<size_t>(kBatchBytes / largest, 1, kMostImages);
  }

  // A float input lies in memory as the image's bytes, and its QUANTIZE looks them up.
  [[nodiscard]] ByteTable input_table() const {
    const Tensor& input = tensor(graph_.inputs[0]);
    if (input.type == Type::Int8) return image_table(input);
    ByteTable table{};
    for (size_t byte = 0; byte < table.size(); ++byte) table[byte] = static_cast<int8_t>(byte);
    return table;
  }

  // The pool that becomes part of a convolution's step: 2×2, the only reader of what the convolution gives,
  // and no sum can wrap, so that the largest sum gives the largest output.
  [[nodiscard]] const Operator* fused_pool(const Operator& op) const {
    if (!std::holds_alternative<Conv2D>(op.kind) || op.outputs[0] == int8_output()) return nullptr;
    const Operator* reader = nullptr;
    for (const Operator& other : graph_.operators)
      for (const int read : other.inputs) {
        if (read != op.outputs[0]) continue;
        if (reader != nullptr) return nullptr;
        reader = &other;
      }
    const auto* pool = reader == nullptr ? nullptr : std::get_if<MaxPool2D>(&reader->kind);
    if (pool == nullptr || pool->filter_height != 2 || pool->filter_width != 2 || pool->stride_height != 2 ||
        pool->stride_width != 2)
      return nullptr;
    const Tensor& kernel = in(op, 1);
    const LayerParameters parameters = layer_parameters(graph_, op);
    const size_t filter = kernel.data.size() / parameters.multipliers.size();
    std::vector<int64_t> sizes(parameters.multipliers.size());
    for (size_t i = 0; i < kernel.data.size(); ++i)
      sizes[i / filter] += std::abs(static_cast<int>(static_cast<int8_t>(kernel.data[i])));
    return kernels::never_wraps(parameters, sizes) ? reader : nullptr;
  }

  [[nodiscard]] Step pooled_step(const Operator& op, const Operator& pool, size_t batch) {
    return {work(op, std::get<Conv2D>(op.kind), batch, &pool), {op.inputs[0], -1}, pool.outputs[0]};
  }

  [[nodiscard]] Step step(const Operator& op, size_t batch) {
    Step made{std::visit([&](const auto& kind) { return work(op, kind, batch); }, op.kind),
              {op.inputs[0], -1},
              op.outputs[0]};
    if (std::holds_alternative<AddOp>(op.kind)) made.inputs[1] = op.inputs[1];
    return made;
  }

 private:
  [[nodiscard]] const Tensor& tensor(int index) const { return graph_.tensors[static_cast<size_t>(index)]; }
  [[nodiscard]] const Tensor& in(const Operator& op, size_t i) const { return input_tensor(graph_, op, i); }

  void charge(size_t bytes) {
    planned_bytes_ += bytes;
    if (planned_bytes_ > kMostBytes)
      throw_failure("the int8 network is too large to evaluate: its layers, packed, take more than {} MiB",
                    kMostBytes >> 20U);
  }
  // Weights of the `outputs` channels in whole groups, and `offsets` places where they are read.
  void charge_layer(size_t outputs, size_t inputs, size_t weight_bytes, size_t offsets) {
    const size_t group = 2 * kernels::vector_lanes();
    const size_t padded = (outputs + group - 1) / group * group;
    constexpr size_t kFactorsAChannel = 5;
    charge(padded * (inputs * weight_bytes + kFactorsAChannel * sizeof(int32_t)) +
           offsets * (sizeof(kernels::Run) + 2 * sizeof(uint32_t)));
  }
  void charge_windows(const Windows& windows, size_t batch) {
    if (windows.border.size() * batch > kMostExpanded)
      throw_usage("an input of {} × {} cells with its border is too large to evaluate", windows.border.rows,
                  windows.border.row_cells);
    charge(windows.rows * batch * sizeof(uint32_t));
  }

  // The border that lets every window of every output cell read without a test, and where each window begins.
  [[nodiscard]] Windows windows(const WindowOp& window, int filter_height, int filter_width,
                                const Tensor& input, int32_t zero_point, int multiplier, size_t cell_stride,
                                size_t batch, const MaxPool2D* pool = nullptr) {
    const int height = input.dims[1];
    const int width = input.dims[2];
    const graph::WindowGeometry placement =
        window_geometry(window, filter_height, filter_width, height, width);
    Windows made;
    made.border = {
        height,
        width,
        input.dims[3],
        placement.pad_top,
        placement.pad_left,
        (placement.out_height - 1) * window.stride_height + extent(filter_height, window.dilation_height),
        (placement.out_width - 1) * window.stride_width + extent(filter_width, window.dilation_width),
        multiplier,
        zero_point,
        cell_stride};
    const graph::WindowGeometry pooled =
        pool == nullptr ? placement : window_geometry(*pool, 2, 2, placement.out_height, placement.out_width);
    const int side = pool == nullptr ? 1 : 2;  // of the square of windows that make one cell
    made.rows = static_cast<size_t>(pooled.out_height) * static_cast<size_t>(pooled.out_width) *
                static_cast<size_t>(side * side);
    charge_windows(made, batch);
    for (size_t image = 0; image < batch; ++image)
      for (int cell = 0; cell < pooled.out_height * pooled.out_width; ++cell)
        for (int i = 0; i < side * side; ++i) {
          // At the edge of a SAME pool a window counts twice, which changes no maximum.
          const int y = std::min(cell / pooled.out_width * side + i / side, placement.out_height - 1);
          const int x = std::min(cell % pooled.out_width * side + i % side, placement.out_width - 1);
          const size_t corner = static_cast<size_t>(y) * static_cast<size_t>(window.stride_height) *
                                    static_cast<size_t>(made.border.row_cells) +
                                static_cast<size_t>(x) * static_cast<size_t>(window.stride_width);
          made.origins.push_back(static_cast<uint32_t>(image * made.border.size() + corner * cell_stride));
        }
    return made;
  }

  // Cells that are neighbours in memory form one run: a window's row, or a single cell where there is
  // dilation.
  [[nodiscard]] Work work(const Operator& op, const Conv2D& conv, size_t batch,
                          const Operator* pool_operator = nullptr) {
    const auto* pool = pool_operator == nullptr ? nullptr : &std::get<MaxPool2D>(pool_operator->kind);
    const Tensor& kernel = in(op, 1);
    LayerParameters parameters = layer_parameters(graph_, op);
    const auto channels = static_cast<size_t>(kernel.dims[3]);
    const auto filter_height = static_cast<size_t>(kernel.dims[1]);
    const auto filter_width = static_cast<size_t>(kernel.dims[2]);
    Windows where = windows(conv, kernel.dims[1], kernel.dims[2], in(op, 0), parameters.input_zero_point, 1,
                            channels, batch, pool);
    charge_layer(static_cast<size_t>(kernel.dims[0]), filter_height * filter_width * (channels + 1),
                 sizeof(int16_t), filter_height * filter_width);
    if (pool != nullptr) {
      const ValueRange range = activation_range(pool->activation, output_tensor(graph_, *pool_operator));
      parameters.range.minimum = std::clamp(parameters.range.minimum, range.minimum, range.maximum);
      parameters.range.maximum = std::clamp(parameters.range.maximum, range.minimum, range.maximum);
    }
    const size_t cells_in_run = conv.dilation_width == 1 ? filter_width : 1;
    const auto length = static_cast<uint32_t>(cells_in_run * channels);
    std::vector<uint32_t> offsets;
    for (size_t y = 0; y < filter_height; ++y)
      for (size_t x = 0; x < filter_width; x += cells_in_run) {
        const size_t cell =
            y * static_cast<size_t>(conv.dilation_height) * static_cast<size_t>(where.border.row_cells) +
            x * static_cast<size_t>(conv.dilation_width);
        offsets.push_back(static_cast<uint32_t>(cell * channels));
      }
    const std::vector<uint32_t> lengths(offsets.size(), length);
    const size_t filter = filter_height * filter_width * channels;
    return layer(parameters, std::move(where), offsets, lengths,
                 pool == nullptr ? kernels::Rows::Single : kernels::Rows::PooledFours,
                 [&](size_t channel, size_t run, size_t i) {
                   return static_cast<int8_t>(kernel.data[channel * filter + run * length + i]);
                 });
  }

  [[nodiscard]] Work work(const Operator& op, const FullyConnected&, size_t batch) {
    const Tensor& kernel = in(op, 1);
    const LayerParameters parameters = layer_parameters(graph_, op);
    const auto inputs = static_cast<size_t>(kernel.dims[1]);
    const size_t rows = static_cast<size_t>(in(op, 0).elements()) / inputs;
    Windows where;
    where.border = {1, static_cast<int>(rows),      kernel.dims[1], 0, 0, 1, static_cast<int>(rows),
                    1, parameters.input_zero_point, inputs};
    where.rows = rows;
    charge_windows(where, batch);
    charge_layer(static_cast<size_t>(kernel.dims[0]), inputs + 1, sizeof(int16_t), 1);
    for (size_t row = 0; row < batch * rows; ++row)
      where.origins.push_back(static_cast<uint32_t>(row * inputs));
    const std::array<uint32_t, 1> offsets = {0};
    const std::array<uint32_t, 1> lengths = {static_cast<uint32_t>(inputs)};
    return layer(parameters, std::move(where), offsets, lengths, kernels::Rows::Single,
                 [&](size_t channel, size_t, size_t i) {
                   return static_cast<int8_t>(kernel.data[channel * inputs + i]);
                 });
  }

  template <typename Weight>
  [[nodiscard]] Work layer(const LayerParameters& parameters, Windows where,
                           std::span<const uint32_t> offsets, std::span<const uint32_t> lengths,
                           kernels::Rows rows, const Weight& weight) const {
    if (vnni_) {
      VnniLayerStep made{std::move(where), kernels::vnni::pack_layer(parameters, offsets, lengths, weight)};
      made.layer.rows = rows;
      return made;
    }
    LayerStep made{std::move(where), kernels::pack_layer(parameters, offsets, lengths, weight)};
    made.layer.rows = rows;
    return made;
  }

  [[nodiscard]] Work work(const Operator& op, const DepthwiseConv2D& conv, size_t batch) {
    const Tensor& kernel = in(op, 1);
    const LayerParameters parameters = layer_parameters(graph_, op);
    const auto channels = static_cast<size_t>(kernel.dims[3]);
    const auto taps = static_cast<size_t>(kernel.dims[1]) * static_cast<size_t>(kernel.dims[2]);
    charge_layer(channels, taps, sizeof(float), taps);
    if (vnni_ && conv.dilation_width == 1) {
      VnniDepthwiseStep made;
      made.windows = windows(conv, kernel.dims[1], kernel.dims[2], in(op, 0), parameters.input_zero_point,
                             conv.depth_multiplier, 1, 1);
      charge(kernels::vnni::depthwise_scratch_bytes(made.windows.border));
      made.layer = kernels::vnni::pack_depthwise(
          parameters, static_cast<size_t>(kernel.dims[1]), static_cast<size_t>(kernel.dims[2]),
          static_cast<size_t>(conv.dilation_height), static_cast<size_t>(made.windows.border.row_cells),
          [&](size_t channel, size_t y, size_t x) {
            return static_cast<int8_t>(
                kernel.data[(y * static_cast<size_t>(kernel.dims[2]) + x) * channels + channel]);
          });
      return made;
    }
    DepthwiseStep made;
    made.layer.requantizer = kernels::make_requantizer(parameters);
    made.layer.cell_stride = made.layer.requantizer.bias.size();
    made.windows = windows(conv, kernel.dims[1], kernel.dims[2], in(op, 0), parameters.input_zero_point,
                           conv.depth_multiplier, made.layer.cell_stride, batch);
    for (int y = 0; y < kernel.dims[1]; ++y)
      for (int x = 0; x < kernel.dims[2]; ++x) {
        const size_t cell = static_cast<size_t>(y * conv.dilation_height) *
                                static_cast<size_t>(made.windows.border.row_cells) +
                            static_cast<size_t>(x * conv.dilation_width);
        made.layer.offsets.push_back(static_cast<uint32_t>(cell * made.layer.cell_stride));
      }
    made.layer.weights.resize(made.layer.offsets.size() * made.layer.cell_stride);
    for (size_t tap = 0; tap < made.layer.offsets.size(); ++tap)
      for (size_t c = 0; c < channels; ++c)
        made.layer.weights[tap * made.layer.cell_stride + c] =
            static_cast<float>(static_cast<int8_t>(kernel.data[tap * channels + c]));
    return made;
  }

  template <typename Pool>
  [[nodiscard]] PoolStep pool_work(const Operator& op, const Pool& pool) const {
    const Tensor& input = in(op, 0);
    PoolStep made;
    made.window = pool;
    made.filter_height = pool.filter_height;
    made.filter_width = pool.filter_width;
    made.height = input.dims[1];
    made.width = input.dims[2];
    made.channels = static_cast<size_t>(input.dims[3]);
    made.placement = window_geometry(pool, pool.filter_height, pool.filter_width, made.height, made.width);
    made.range = activation_range(pool.activation, output_tensor(graph_, op));
    made.is_average = std::is_same_v<Pool, AveragePool2D>;
    return made;
  }
  [[nodiscard]] Work work(const Operator& op, const MaxPool2D& pool, size_t) const {
    return pool_work(op, pool);
  }
  [[nodiscard]] Work work(const Operator& op, const AveragePool2D& pool, size_t) const {
    return pool_work(op, pool);
  }

  [[nodiscard]] Work work(const Operator& op, const AddOp&, size_t) const {
    const AddParameters parameters = add_parameters(graph_, op);
    if (vnni_)
      if (auto add = kernels::vnni::make_add(parameters)) return VnniAddStep{std::move(*add)};
    return AddStep{parameters};
  }
  [[nodiscard]] Work work(const Operator& op, const Mean&, size_t) const {
    return MeanStep{mean_parameters(graph_, op), static_cast<size_t>(in(op, 0).dims[3])};
  }
  [[nodiscard]] Work work(const Operator& op, const SoftmaxOp&, size_t) const {
    return SoftmaxStep{softmax_exponentials(softmax_parameters(graph_, op)),
                       static_cast<size_t>(in(op, 0).dims.back())};
  }
  [[nodiscard]] Work work(const Operator&, const Reshape&, size_t) const { return CopyStep{}; }
  [[nodiscard]] Work work(const Operator& op, const ReluOp&, size_t) const { return byte_table(op); }
  [[nodiscard]] Work work(const Operator& op, const Relu6Op&, size_t) const { return byte_table(op); }
  [[nodiscard]] Work work(const Operator& op, const Quantize&, size_t) const {
    if (in(op, 0).type == Type::Int8) return byte_table(op);
    return TableStep{image_table(output_tensor(graph_, op))};
  }
  // `skips` leaves the one DEQUANTIZE that may be there out.
  [[nodiscard]] Work work(const Operator&, const Dequantize&, size_t) const { return CopyStep{}; }

  [[nodiscard]] TableStep byte_table(const Operator& op) const {
    const ByteTable by_value = unary_table(graph_, op);
    TableStep made;
    for (size_t byte = 0; byte < made.table.size(); ++byte) made.table[byte] = by_value[byte ^ 0x80U];
    return made;
  }

  const QuantGraph& graph_;
  const bool vnni_ = kernels::vnni::available();
  size_t planned_bytes_ = 0;
};

// Runs one step over `count` images.
struct Execution {
  const int8_t* input;
  const int8_t* second;
  int8_t* output;
  size_t input_elements;   // an image
  size_t output_elements;  // an image
  size_t count;
  uint8_t* expanded;
  std::vector<int32_t>& sums;

  template <typename T>
  std::span<const uint32_t> expand(const Windows& windows, T* target) const {
    for (size_t image = 0; image < count; ++image)
      kernels::expand(windows.border, input + image * input_elements, target + image * windows.border.size());
    return std::span(windows.origins).first(count * windows.rows);
  }

  void operator()(const LayerStep& step) const {
    auto* shorts = reinterpret_cast<int16_t*>(expanded);
    kernels::run_layer(step.layer, shorts, expand(step.windows, shorts), output);
  }
  void operator()(const VnniLayerStep& step) const {
    for (size_t image = 0; image < count; ++image)
      kernels::vnni::expand(step.windows.border, input + image * input_elements,
                            expanded + image * step.windows.border.size());
    kernels::vnni::run_layer(step.layer, expanded,
                             std::span(step.windows.origins).first(count * step.windows.rows), output);
  }
  void operator()(const DepthwiseStep& step) const {
    auto* floats = reinterpret_cast<float*>(expanded);
    kernels::run_depthwise(step.layer, floats, expand(step.windows, floats), output);
  }
  void operator()(const VnniDepthwiseStep& step) const {
    for (size_t image = 0; image < count; ++image)
      kernels::vnni::run_depthwise(step.layer, step.windows.border, input + image * input_elements, expanded,
                                   step.windows.origins, output + image * output_elements);
  }

  void operator()(const PoolStep& step) const {
    for (size_t image = 0; image < count; ++image) {
      int8_t* cell = output + image * output_elements;
      for (int oy = 0; oy < step.placement.out_height; ++oy)
        for (int ox = 0; ox < step.placement.out_width; ++ox, cell += step.channels)
          pool_cell(step, input + image * input_elements, oy, ox, cell);
    }
  }
  void pool_cell(const PoolStep& step, const int8_t* from, int oy, int ox, int8_t* cell) const {
    const int top = std::max(oy * step.window.stride_height - step.placement.pad_top, 0);
    const int left = std::max(ox * step.window.stride_width - step.placement.pad_left, 0);
    const int bottom =
        std::min(oy * step.window.stride_height - step.placement.pad_top + step.filter_height, step.height);
    const int right =
        std::min(ox * step.window.stride_width - step.placement.pad_left + step.filter_width, step.width);
    const auto cells = static_cast<size_t>(right - left);
    const auto row_at = [&](int y) {
      return from + (static_cast<size_t>(y) * static_cast<size_t>(step.width) + static_cast<size_t>(left)) *
                        step.channels;
    };
    if (step.is_average) {
      std::fill_n(sums.begin(), step.channels, 0);
      for (int y = top; y < bottom; ++y)
        kernels::accumulate_sums(row_at(y), cells, step.channels, sums.data());
      const auto number = static_cast<int32_t>(cells) * (bottom - top);
      for (size_t c = 0; c < step.channels; ++c) cell[c] = average(sums[c], number, step.range);
      return;
    }
    std::fill_n(cell, step.channels, static_cast<int8_t>(-128));  // what lies beyond comes later, or is slack
    for (int y = top; y < bottom; ++y) kernels::accumulate_maxima(row_at(y), cells, step.channels, cell);
    for (size_t c = 0; c < step.channels; ++c)
      cell[c] = static_cast<int8_t>(
          std::min<int32_t>(std::max<int32_t>(cell[c], step.range.minimum), step.range.maximum));
  }

  void operator()(const AddStep& step) const {
    kernels::run_add(step.parameters, input, second, output, count * output_elements);
  }
  void operator()(const VnniAddStep& step) const {
    kernels::vnni::run_add(step.add, input, second, output, count * output_elements);
  }
  void operator()(const MeanStep& step) const {
    for (size_t image = 0; image < count; ++image) {
      std::fill_n(sums.begin(), step.channels, 0);
      kernels::accumulate_sums(input + image * input_elements, input_elements / step.channels, step.channels,
                               sums.data());
      for (size_t c = 0; c < step.channels; ++c)
        output[image * step.channels + c] = mean(step.parameters, sums[c]);
    }
  }
  void operator()(const SoftmaxStep& step) const {
    for (size_t first = 0; first < count * output_elements; first += step.row)
      softmax_row(step.exponentials, {input + first, step.row}, {output + first, step.row});
  }
  void operator()(const TableStep& step) const {
    for (size_t i = 0; i < count * output_elements; ++i)
      output[i] = step.table[static_cast<uint8_t>(input[i])];
  }
  void operator()(const CopyStep&) const { std::memcpy(output, input, count * output_elements); }
};

// What a byte is on the grid of our files' inputs.
int8_t centred(uint8_t byte) {
  return static_cast<int8_t>(byte ^ 0x80U);
}

// Gives each tensor memory that no other tensor needs while it lives.
void place_tensors(const std::vector<Step>& steps, const std::vector<size_t>& elements, int input, int output,
                   const std::vector<std::vector<uint8_t>>& constants, std::vector<int>& slot,
                   std::vector<size_t>& slot_elements) {
  slot.assign(elements.size(), -1);
  std::vector<size_t> last_use(elements.size(), 0);
  for (size_t i = 0; i < steps.size(); ++i)
    for (const int tensor : steps[i].inputs)
      if (tensor >= 0) last_use[static_cast<size_t>(tensor)] = i;
  last_use[static_cast<size_t>(output)] = steps.size();

  std::vector<bool> free;
  const auto place = [&](size_t tensor) {
    size_t best = slot_elements.size();
    for (size_t s = 0; s < slot_elements.size(); ++s)
      if (free[s] && slot_elements[s] >= elements[tensor] &&
          (best == slot_elements.size() || slot_elements[s] < slot_elements[best]))
        best = s;
    if (best == slot_elements.size()) {
      slot_elements.push_back(elements[tensor]);
      free.push_back(true);
    }
    free[best] = false;
    slot[tensor] = static_cast<int>(best);
  };
  const auto release = [&](int tensor, size_t step) {
    if (tensor < 0) return;
    const auto t = static_cast<size_t>(tensor);
    if (last_use[t] <= step && constants[t].empty()) free[static_cast<size_t>(slot[t])] = true;
  };
  for (size_t i = 0; i < constants.size(); ++i)  // first, and never freed
    if (!constants[i].empty()) place(i);
  place(static_cast<size_t>(input));
  for (size_t i = 0; i < steps.size(); ++i) {
    place(static_cast<size_t>(steps[i].output));
    for (const int tensor : steps[i].inputs) release(tensor, i);
    release(steps[i].output, i);  // one that nobody reads
  }
}

}  // namespace

Evaluator::Evaluator(const QuantGraph& graph) {
  Planner planner(graph);
  planner.require_supported();
  auto plan = std::make_shared<Plan>();
  plan->input = graph.inputs[0];
  const ByteTable table = planner.input_table();
  for (size_t byte = 0; byte < table.size(); ++byte)
    if (table[byte] != centred(static_cast<uint8_t>(byte))) plan->input_table = table;
  plan->output = planner.int8_output();
  if (plan->output == plan->input) throw_usage("the int8 network computes nothing");
  plan->batch = planner.batch();
  for (const Tensor& tensor : graph.tensors) plan->elements.push_back(static_cast<size_t>(tensor.elements()));
  plan->constants.resize(graph.tensors.size());
  std::vector<const Operator*> fused;
  for (const Operator& op : graph.operators) {
    if (planner.skips(op) || std::ranges::count(fused, &op) > 0) continue;
    if (const Operator* pool = planner.fused_pool(op)) {
      plan->steps.push_back(planner.pooled_step(op, *pool, plan->batch));
      fused.push_back(pool);
    } else {
      plan->steps.push_back(planner.step(op, plan->batch));
    }
    const Step& step = plan->steps.back();
    for (const int tensor : step.inputs)
      if (tensor >= 0)
        plan->constants[static_cast<size_t>(tensor)] = graph.tensors[static_cast<size_t>(tensor)].data;
    plan->most_expanded = std::max(plan->most_expanded, expanded_bytes(step.work, plan->batch));
    if (const auto* pool = std::get_if<PoolStep>(&step.work))
      plan->most_channels = std::max(plan->most_channels, pool->channels);
    if (const auto* averages = std::get_if<MeanStep>(&step.work))
      plan->most_channels = std::max(plan->most_channels, averages->channels);
  }
  place_tensors(plan->steps, plan->elements, plan->input, plan->output, plan->constants, plan->slot,
                plan->slot_elements);
  size_t tensor_bytes = 0;
  for (const size_t slot_elements : plan->slot_elements) tensor_bytes += slot_elements * plan->batch;
  if (tensor_bytes > kMostBytes)
    throw_failure("the int8 network is too large to evaluate: its tensors take more than {} MiB",
                  kMostBytes >> 20U);
  memory_ = std::make_unique<Memory>(*plan);
  plan_ = std::move(plan);
}

Evaluator::~Evaluator() = default;

Evaluator::Evaluator(const Evaluator& other)
    : plan_(other.plan_), memory_(std::make_unique<Memory>(*plan_)) {}

size_t Evaluator::image_bytes() const {
  return plan_->elements[static_cast<size_t>(plan_->input)];
}
size_t Evaluator::outputs() const {
  return plan_->elements[static_cast<size_t>(plan_->output)];
}

void Evaluator::run(std::span<const uint8_t> images, size_t count, std::span<int8_t> outputs) {
  if (images.size() != count * image_bytes())
    throw_usage("{} images have {} bytes; the int8 network takes {} bytes an image", count, images.size(),
                image_bytes());
  run_batches(count, [&](size_t i) { return images.subspan(i * image_bytes(), image_bytes()); }, outputs);
}

void Evaluator::run(std::span<const uint8_t> images, std::span<const uint32_t> indices,
                    std::span<int8_t> outputs) {
  const size_t count = images.size() / image_bytes();
  for (const uint32_t index : indices)
    if (index >= count) throw_usage("image {} was asked for, but there are {}", index, count);
  run_batches(
      indices.size(), [&](size_t i) { return images.subspan(indices[i] * image_bytes(), image_bytes()); },
      outputs);
}

// image_at(i) gives the i-th image's bytes.
template <typename ImageAt>
void Evaluator::run_batches(size_t count, const ImageAt& image_at, std::span<int8_t> outputs) {
  const Plan& plan = *plan_;
  if (outputs.size() != count * this->outputs())
    throw_usage("the room for {} outputs has {} values; the int8 network gives {} an image", count,
                outputs.size(), this->outputs());
  const auto data = [&](int tensor) {
    return memory_->slots[static_cast<size_t>(plan.slot[static_cast<size_t>(tensor)])].data();
  };
  const auto elements = [&](int tensor) { return plan.elements[static_cast<size_t>(tensor)]; };
  for (size_t first = 0; first < count; first += plan.batch) {
    const size_t now = std::min(plan.batch, count - first);
    for (size_t i = 0; i < now; ++i) {
      const std::span<const uint8_t> image = image_at(first + i);
      int8_t* entered = data(plan.input) + i * image_bytes();
      if (plan.input_table)
        std::transform(image.begin(), image.end(), entered,
                       [&](uint8_t byte) { return (*plan.input_table)[byte]; });
      else
        std::transform(image.begin(), image.end(), entered, centred);
    }
    for (const Step& step : plan.steps) {
      const Execution execution{data(step.inputs[0]),     step.inputs[1] < 0 ? nullptr : data(step.inputs[1]),
                                data(step.output),        elements(step.inputs[0]),
                                elements(step.output),    now,
                                memory_->expanded.data(), memory_->sums};
      std::visit(execution, step.work);
    }
    const auto* results = data(plan.output);
    std::copy_n(results, now * this->outputs(), outputs.subspan(first * this->outputs()).begin());
  }
}

}  // namespace retort::int8
