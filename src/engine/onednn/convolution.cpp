#include <algorithm>
#include <cstring>
#include <optional>

#include "base/error.h"
#include "engine/onednn/methods.h"
#include "engine/onednn/primitives.h"

namespace retort::engine::onednn {
namespace {

using dnnl::memory;
using Tag = memory::format_tag;
using Type = memory::data_type;

constexpr size_t kAlignment = 64;

size_t aligned(size_t bytes) {
  return (bytes + kAlignment - 1) / kAlignment * kAlignment;
}

// A tensor as a primitive reads it: where it lies, or a copy in another layout or precision.
class Reading {
 public:
  Reading() = default;
  Reading(const memory::desc& from, const memory::desc& to) : from_(from), to_(to) {
    if (from != to) reorder_.emplace(cpu_engine(), from, cpu_engine(), to, attributes());
  }

  [[nodiscard]] const memory::desc& layout() const { return to_; }
  [[nodiscard]] size_t copy_bytes() const { return reorder_ ? aligned(to_.get_size()) : 0; }
  [[nodiscard]] size_t scratch_bytes() const { return reorder_ ? reorder_->scratchpad_desc().get_size() : 0; }
  // Where the primitive will find it.
  const void* bind(const void* from, std::byte* copy, std::byte* scratch) {
    if (!reorder_) return from;
    call_ = Call(dnnl::reorder(*reorder_), {{DNNL_ARG_FROM, from_, from},
                                            {DNNL_ARG_TO, to_, copy},
                                            {DNNL_ARG_SCRATCHPAD, reorder_->scratchpad_desc(), scratch}});
    return copy;
  }
  void refresh() const {
    if (reorder_) call_();
  }
  void describe(std::string_view what, std::vector<std::string>& names) const {
    if (reorder_) names.push_back(std::string(what) + " " + reorder_->impl_info_str());
  }

 private:
  memory::desc from_;
  memory::desc to_;
  std::optional<dnnl::reorder::primitive_desc> reorder_;
  Call call_;
};

class OneDnnConvolution final : public Convolution {
 public:
  OneDnnConvolution(const ConvolutionShape& shape, Passes passes);

  [[nodiscard]] size_t workspace_bytes() const override {
    return spread_bytes_ + gradient_.copy_bytes() + weights_bytes_ + unkept_bytes() + scratch_bytes_;
  }
  [[nodiscard]] size_t kept_bytes() const override {
    return passes_ == Passes::Forward ? 0 : source_.copy_bytes();
  }
  void bind(const ConvolutionBuffers& buffers) override;
  void forward() override {
    source_.refresh();
    forward_weights_.refresh();
    forward_call_();
  }
  void backward_weights() override {
    gradient_.refresh();
    weights_call_();
  }
  void backward_input() override;
  [[nodiscard]] std::vector<std::string> implementations() const override;

 private:
  void make_forward();
  void make_backward_weights();
  void make_backward_input();
  // The first that oneDNN has for an algorithm: `make(algorithm)` gives a primitive's description, maybe empty.
  template <typename Make>
  auto best_of(const Make& make) const {
    if (method_ == Method::Winograd) {
      if (auto found = make(dnnl::algorithm::convolution_winograd)) return found;
    }
    return make(dnnl::algorithm::convolution_direct);
  }
  // oneDNN has no fast gradient of the input where the two strides differ. Zeros between the output's
  // gradients turn it into a stride of one.
  void spread_output_gradient() const;
  [[nodiscard]] bool spreads() const { return shape_.stride_height != shape_.stride_width; }
  // In inference the rounded input lives in the workspace.
  [[nodiscard]] size_t unkept_bytes() const { return passes_ == Passes::Forward ? source_.copy_bytes() : 0; }
  [[nodiscard]] memory::desc blocked(int channels, int height, int width, Type type) const {
    return {{shape_.batch, channels, height, width}, type, shape_.block == 16 ? Tag::nChw16c : Tag::nChw8c};
  }

  ConvolutionShape shape_;
  Passes passes_;
  Method method_;
  Type read_type_;  // of what is multiplied
  memory::desc input_;
  memory::desc weights_;
  memory::desc any_weights_;
  memory::desc bias_;
  memory::desc output_;
  memory::desc read_output_;  // its gradient, as multiplied
  memory::desc spread_;
  memory::dims strides_;
  memory::dims pad_begin_;
  memory::dims pad_end_;
  dnnl::convolution_forward::primitive_desc forward_;
  std::optional<dnnl::convolution_backward_weights::primitive_desc> backward_weights_;
  std::optional<dnnl::convolution_backward_data::primitive_desc> backward_input_;
  Reading source_;
  Reading gradient_;
  Reading forward_weights_;
  Reading input_weights_;
  int spread_height_ = 0;
  int spread_width_ = 0;
  size_t spread_bytes_ = 0;
  size_t weights_bytes_ = 0;  // of the weights' copies, of which one is in use
  size_t scratch_bytes_ = 0;
  Call forward_call_;
  Call weights_call_;
  Call input_call_;
  const float* output_gradient_ = nullptr;
  float* spread_gradient_ = nullptr;
};

OneDnnConvolution::OneDnnConvolution(const ConvolutionShape& shape, Passes passes)
    : shape_(shape),
      passes_(passes),
      method_(choose_method(shape)),
      read_type_(method_ == Method::Bfloat16 ? Type::bf16 : Type::f32),
      input_(blocked(shape.in_channels, shape.in_height, shape.in_width, Type::f32)),
      output_(blocked(shape.out_channels, shape.out_height, shape.out_width, Type::f32)),
      read_output_(blocked(shape.out_channels, shape.out_height, shape.out_width, read_type_)) {
  const memory::dims kernel{shape.out_channels, shape.in_channels, shape.kernel_height, shape.kernel_width};
  weights_ = memory::desc(kernel, Type::f32, shape_.block == 16 ? Tag::OIhw16i16o : Tag::OIhw8i8o);
  any_weights_ = memory::desc(kernel, read_type_, Tag::any);
  if (shape.bias == Bias::Present) bias_ = memory::desc({shape.out_channels}, Type::f32, Tag::x);
  source_ = Reading(input_, blocked(shape.in_channels, shape.in_height, shape.in_width, read_type_));
  strides_ = {shape.stride_height, shape.stride_width};
  pad_begin_ = {shape.pad_top, shape.pad_left};
  // oneDNN wants the padding after that makes the output's size exact to within a stride.
  pad_end_ = {std::max(0, (shape.out_height - 1) * shape.stride_height + shape.kernel_height -
                              shape.in_height - shape.pad_top),
              std::max(0, (shape.out_width - 1) * shape.stride_width + shape.kernel_width - shape.in_width -
                              shape.pad_left)};
  make_forward();
  if (passes != Passes::Forward) make_backward_weights();
  if (passes == Passes::All) make_backward_input();
  weights_bytes_ = std::max(forward_weights_.copy_bytes(), input_weights_.copy_bytes());
  for (const Reading* reading : {&source_, &gradient_, &forward_weights_, &input_weights_})
    scratch_bytes_ = std::max(scratch_bytes_, reading->scratch_bytes());
}

void OneDnnConvolution::make_forward() {
  const auto kind =
      passes_ == Passes::Forward ? dnnl::prop_kind::forward_inference : dnnl::prop_kind::forward_training;
  const memory::desc weights = method_ == Method::Bfloat16 ? any_weights_ : weights_;
  forward_ = best_of([&](dnnl::algorithm algorithm) {
    const dnnl::convolution_forward::desc desc(kind, algorithm, source_.layout(), weights, bias_, output_,
                                               strides_, pad_begin_, pad_end_);
    return dnnl::convolution_forward::primitive_desc(desc, attributes(shape_.activation), cpu_engine(),
                                                     algorithm != dnnl::algorithm::convolution_direct);
  });
  forward_weights_ = Reading(weights_, forward_.weights_desc());
  scratch_bytes_ = forward_.scratchpad_desc().get_size();
}

void OneDnnConvolution::make_backward_weights() {
  gradient_ = Reading(output_, read_output_);
  backward_weights_ = best_of([&](dnnl::algorithm algorithm) {
    const dnnl::convolution_backward_weights::desc desc(algorithm, source_.layout(), weights_, bias_,
                                                        read_output_, strides_, pad_begin_, pad_end_);
    return dnnl::convolution_backward_weights::primitive_desc(
        desc, attributes(), cpu_engine(), forward_, algorithm != dnnl::algorithm::convolution_direct);
  });
  scratch_bytes_ = std::max(scratch_bytes_, backward_weights_->scratchpad_desc().get_size());
}

void OneDnnConvolution::make_backward_input() {
  memory::dims strides = strides_;
  memory::dims pad_end = pad_end_;
  spread_ = read_output_;
  auto hint = forward_;
  if (spreads()) {
    // As many rows and columns as a stride of one gives, so that rows which the strides leave out get zeros.
    spread_height_ = std::max((shape_.out_height - 1) * shape_.stride_height + 1,
                              shape_.in_height + shape_.pad_top - shape_.kernel_height + 1);
    spread_width_ = std::max((shape_.out_width - 1) * shape_.stride_width + 1,
                             shape_.in_width + shape_.pad_left - shape_.kernel_width + 1);
    strides = {1, 1};
    pad_end = {spread_height_ - 1 + shape_.kernel_height - shape_.in_height - shape_.pad_top,
               spread_width_ - 1 + shape_.kernel_width - shape_.in_width - shape_.pad_left};
    spread_ = blocked(shape_.out_channels, spread_height_, spread_width_, Type::f32);
    spread_bytes_ = aligned(spread_.get_size());
    hint = dnnl::convolution_forward::primitive_desc(
        {dnnl::prop_kind::forward_training, dnnl::algorithm::convolution_direct, input_, any_weights_,
         spread_, strides, pad_begin_, pad_end},
        attributes(), cpu_engine());
  }
  backward_input_ = best_of([&](dnnl::algorithm algorithm) {
    const dnnl::convolution_backward_data::desc desc(algorithm, input_, any_weights_, spread_, strides,
                                                     pad_begin_, pad_end);
    return dnnl::convolution_backward_data::primitive_desc(desc, attributes(), cpu_engine(), hint,
                                                           algorithm != dnnl::algorithm::convolution_direct);
  });
  input_weights_ = Reading(weights_, backward_input_->weights_desc());
  scratch_bytes_ = std::max(scratch_bytes_, backward_input_->scratchpad_desc().get_size());
}

void OneDnnConvolution::bind(const ConvolutionBuffers& buffers) {
  std::byte* const spread = buffers.workspace;
  std::byte* const rounded_gradient = spread + spread_bytes_;
  std::byte* const weights_copy = rounded_gradient + gradient_.copy_bytes();
  std::byte* const unkept = weights_copy + weights_bytes_;
  std::byte* const scratch = unkept + unkept_bytes();
  const void* const source =
      source_.bind(buffers.input, passes_ == Passes::Forward ? unkept : buffers.kept, scratch);
  forward_call_ = Call(dnnl::convolution_forward(forward_),
                       {{DNNL_ARG_SRC, source_.layout(), source},
                        {DNNL_ARG_WEIGHTS, forward_weights_.layout(),
                         forward_weights_.bind(buffers.weights, weights_copy, scratch)},
                        {DNNL_ARG_BIAS, bias_, buffers.bias},
                        {DNNL_ARG_DST, output_, buffers.output},
                        {DNNL_ARG_SCRATCHPAD, forward_.scratchpad_desc(), scratch}});
  if (!backward_weights_) return;
  const void* gradient = gradient_.bind(buffers.output_gradient, rounded_gradient, scratch);
  weights_call_ = Call(dnnl::convolution_backward_weights(*backward_weights_),
                       {{DNNL_ARG_SRC, source_.layout(), source},
                        {DNNL_ARG_DIFF_DST, read_output_, gradient},
                        {DNNL_ARG_DIFF_WEIGHTS, weights_, buffers.weight_gradient},
                        {DNNL_ARG_DIFF_BIAS, bias_, buffers.bias_gradient},
                        {DNNL_ARG_SCRATCHPAD, backward_weights_->scratchpad_desc(), scratch}});
  if (!backward_input_) return;
  output_gradient_ = buffers.output_gradient;
  if (spreads()) {
    spread_gradient_ = reinterpret_cast<float*>(spread);
    gradient = spread_gradient_;
  }
  input_call_ = Call(dnnl::convolution_backward_data(*backward_input_),
                     {{DNNL_ARG_DIFF_DST, spread_, gradient},
                      {DNNL_ARG_WEIGHTS, input_weights_.layout(),
                       input_weights_.bind(buffers.weights, weights_copy, scratch)},
                      {DNNL_ARG_DIFF_SRC, input_, buffers.input_gradient},
                      {DNNL_ARG_SCRATCHPAD, backward_input_->scratchpad_desc(), scratch}});
}

void OneDnnConvolution::backward_input() {
  input_weights_.refresh();
  if (spreads()) spread_output_gradient();
  input_call_();
}

void OneDnnConvolution::spread_output_gradient() const {
  const auto block = static_cast<size_t>(shape_.block);
  const auto rows = static_cast<size_t>(shape_.out_height);
  const auto columns = static_cast<size_t>(shape_.out_width);
  const auto row_stride = static_cast<size_t>(shape_.stride_height);
  const auto column_stride = static_cast<size_t>(shape_.stride_width);
  const auto wide_rows = static_cast<size_t>(spread_height_);
  const auto wide_columns = static_cast<size_t>(spread_width_);
  const size_t planes = static_cast<size_t>(shape_.batch) * static_cast<size_t>(shape_.out_channels) / block;
  std::memset(spread_gradient_, 0, spread_.get_size());
  for (size_t plane = 0; plane < planes; ++plane) {
    for (size_t row = 0; row < rows; ++row) {
      for (size_t column = 0; column < columns; ++column) {
        const float* from = output_gradient_ + ((plane * rows + row) * columns + column) * block;
        float* to = spread_gradient_ +
                    ((plane * wide_rows + row * row_stride) * wide_columns + column * column_stride) * block;
        std::copy_n(from, block, to);
      }
    }
  }
}

std::vector<std::string> OneDnnConvolution::implementations() const {
  std::vector<std::string> names{std::string("forward ") + forward_.impl_info_str()};
  if (backward_weights_) names.push_back(std::string("weights ") + backward_weights_->impl_info_str());
  if (backward_input_) names.push_back(std::string("input ") + backward_input_->impl_info_str());
  source_.describe("round input", names);
  gradient_.describe("round gradient", names);
  forward_weights_.describe("weights for forward", names);
  input_weights_.describe("weights for input", names);
  return names;
}

}  // namespace

std::unique_ptr<Convolution> make_convolution(const ConvolutionShape& shape, Passes passes) {
  try {
    return std::make_unique<OneDnnConvolution>(shape, passes);
  } catch (const dnnl::error& error) {
    throw_failure("oneDNN refuses a {}x{} convolution of {} to {} channels: {}", shape.kernel_height,
                  shape.kernel_width, shape.in_channels, shape.out_channels, error.what());
  }
}

}  // namespace retort::engine::onednn
