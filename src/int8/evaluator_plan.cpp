#include "int8/evaluator_plan.h"

#include <algorithm>
#include <cstdlib>
#include <utility>

#include "base/error.h"
#include "base/memory.h"
#include "base/sizes.h"
#include "base/units.h"
#include "int8/check.h"

namespace retort::int8 {

namespace {

constexpr size_t kMostImages = 32;  // in one batch
// Of a layer's tensors in one batch, so that caches hold them.
constexpr size_t kBatchBytes = size_t{1} << 19;
constexpr size_t kMostExpanded = size_t{1} << 26;  // elements of an expanded batch
// Of packed weights and windows, and of one evaluator's tensors: a few numbers in a file can ask for a lot.
constexpr size_t kMostBytes = size_t{1} << 28;

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

size_t EvaluationPlan::memory_bytes() const {
  size_t bytes = most_expanded + most_channels * sizeof(int32_t);
  for (const size_t image : slot_elements) bytes += image * batch;
  return bytes;
}

std::shared_ptr<const EvaluationPlan> plan_evaluation(const QuantGraph& graph) {
  Planner planner(graph);
  planner.require_supported();
  auto plan = std::make_shared<EvaluationPlan>();
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
  // No Error(Usage), as require_memory() has it: of a search one candidate fails.
  if (const uint64_t bytes = plan->memory_bytes(); bytes >= kSmallMemoryBytes && bytes > memory_left())
    throw_failure("the int8 network is too large to evaluate: it takes {}, more than the memory that is left",
                  format_bytes(static_cast<int64_t>(bytes)));
  return plan;
}

}  // namespace retort::int8
