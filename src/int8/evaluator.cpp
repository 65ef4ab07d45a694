#include "int8/evaluator.h"

#include <algorithm>
#include <cstring>

#include "base/error.h"
#include "int8/evaluator_plan.h"

namespace retort::int8 {

namespace {

constexpr size_t kSlack = kernels::kBeyond;  // elements beyond a tensor that kernels may touch

}  // namespace

struct Evaluator::Memory {
  explicit Memory(const EvaluationPlan& plan)
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

}  // namespace

Evaluator::Evaluator(const QuantGraph& graph)
    : plan_(plan_evaluation(graph)), memory_(std::make_unique<Memory>(*plan_)) {}

Evaluator::~Evaluator() = default;

Evaluator::Evaluator(const Evaluator& other)
    : plan_(other.plan_), memory_(std::make_unique<Memory>(*plan_)) {}

size_t Evaluator::image_bytes() const {
  return plan_->elements[static_cast<size_t>(plan_->input)];
}
size_t Evaluator::outputs() const {
  return plan_->elements[static_cast<size_t>(plan_->output)];
}

size_t Evaluator::memory_bytes() const {
  return plan_->memory_bytes();
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
  const EvaluationPlan& plan = *plan_;
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
