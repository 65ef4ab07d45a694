#include <algorithm>
#include <cstring>
#include <optional>

#include "base/error.h"
#include "engine/onednn/primitives.h"

namespace retort::engine::onednn {
namespace {

using dnnl::memory;
using Tag = memory::format_tag;

constexpr auto kFloat = memory::data_type::f32;
constexpr size_t kAlignment = 64;

size_t aligned(size_t bytes) {
  return (bytes + kAlignment - 1) / kAlignment * kAlignment;
}

class OneDnnConvolution final : public Convolution {
 public:
  OneDnnConvolution(const ConvolutionShape& shape, Passes passes);

  [[nodiscard]] size_t workspace_bytes() const override {
    return spread_bytes_ + turned_bytes_ + scratch_bytes_;
  }
  void bind(const ConvolutionBuffers& buffers) override;
  void forward() override { forward_call_(); }
  void backward_weights() override { weights_call_(); }
  void backward_input() override;
  [[nodiscard]] std::vector<std::string> implementations() const override;

 private:
  void make_backward_input();
  // oneDNN has no fast gradient of the input where the two strides differ. Zeros between the output's
  // gradients turn it into a stride of one.
  void spread_output_gradient() const;
  [[nodiscard]] bool spreads() const { return shape_.stride_height != shape_.stride_width; }

  ConvolutionShape shape_;
  Passes passes_;
  memory::desc input_;
  memory::desc weights_;
  memory::desc bias_;
  memory::desc output_;
  memory::desc spread_;
  memory::dims strides_;
  memory::dims pad_begin_;
  memory::dims pad_end_;
  dnnl::convolution_forward::primitive_desc forward_;
  std::optional<dnnl::convolution_backward_weights::primitive_desc> backward_weights_;
  std::optional<dnnl::convolution_backward_data::primitive_desc> backward_input_;
  std::optional<dnnl::reorder::primitive_desc> turn_;  // weights into the layout that backward_input_ reads
  int spread_height_ = 0;
  int spread_width_ = 0;
  size_t spread_bytes_ = 0;
  size_t turned_bytes_ = 0;
  size_t scratch_bytes_ = 0;
  Call forward_call_;
  Call weights_call_;
  Call turn_call_;
  Call input_call_;
  const float* output_gradient_ = nullptr;
  float* spread_gradient_ = nullptr;
};

OneDnnConvolution::OneDnnConvolution(const ConvolutionShape& shape, Passes passes)
    : shape_(shape), passes_(passes) {
  const Tag blocked = channel_block() == 16 ? Tag::nChw16c : Tag::nChw8c;
  input_ = memory::desc({shape.batch, shape.in_channels, shape.in_height, shape.in_width}, kFloat, blocked);
  output_ =
      memory::desc({shape.batch, shape.out_channels, shape.out_height, shape.out_width}, kFloat, blocked);
  weights_ = memory::desc({shape.out_channels, shape.in_channels, shape.kernel_height, shape.kernel_width},
                          kFloat, channel_block() == 16 ? Tag::OIhw16i16o : Tag::OIhw8i8o);
  if (shape.bias == Bias::Present) bias_ = memory::desc({shape.out_channels}, kFloat, Tag::x);
  strides_ = {shape.stride_height, shape.stride_width};
  pad_begin_ = {shape.pad_top, shape.pad_left};
  // oneDNN wants the padding after that makes the output's size exact to within a stride.
  pad_end_ = {std::max(0, (shape.out_height - 1) * shape.stride_height + shape.kernel_height -
                              shape.in_height - shape.pad_top),
              std::max(0, (shape.out_width - 1) * shape.stride_width + shape.kernel_width - shape.in_width -
                              shape.pad_left)};

  const auto kind =
      passes == Passes::Forward ? dnnl::prop_kind::forward_inference : dnnl::prop_kind::forward_training;
  const dnnl::convolution_forward::desc forward(kind, dnnl::algorithm::convolution_direct, input_, weights_,
                                                bias_, output_, strides_, pad_begin_, pad_end_);
  forward_ = dnnl::convolution_forward::primitive_desc(forward, attributes(shape.activation), cpu_engine());
  scratch_bytes_ = forward_.scratchpad_desc().get_size();
  if (passes == Passes::Forward) return;

  const dnnl::convolution_backward_weights::desc weights(
      dnnl::algorithm::convolution_direct, input_, weights_, bias_, output_, strides_, pad_begin_, pad_end_);
  backward_weights_.emplace(weights, attributes(), cpu_engine(), forward_);
  scratch_bytes_ = std::max(scratch_bytes_, backward_weights_->scratchpad_desc().get_size());
  if (passes == Passes::All) make_backward_input();
}

void OneDnnConvolution::make_backward_input() {
  memory::dims strides = strides_;
  memory::dims pad_end = pad_end_;
  spread_ = output_;
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
    spread_ = memory::desc({shape_.batch, shape_.out_channels, spread_height_, spread_width_}, kFloat,
                           channel_block() == 16 ? Tag::nChw16c : Tag::nChw8c);
    spread_bytes_ = aligned(spread_.get_size());
    hint = dnnl::convolution_forward::primitive_desc(
        {dnnl::prop_kind::forward_training, dnnl::algorithm::convolution_direct, input_,
         memory::desc(weights_.dims(), kFloat, Tag::any), spread_, strides, pad_begin_, pad_end},
        attributes(), cpu_engine());
  }
  backward_input_.emplace(
      dnnl::convolution_backward_data::desc(dnnl::algorithm::convolution_direct, input_,
                                            memory::desc(weights_.dims(), kFloat, Tag::any), spread_, strides,
                                            pad_begin_, pad_end),
      attributes(), cpu_engine(), hint);
  scratch_bytes_ = std::max(scratch_bytes_, backward_input_->scratchpad_desc().get_size());
  if (backward_input_->weights_desc() != weights_) {
    turn_.emplace(cpu_engine(), weights_, cpu_engine(), backward_input_->weights_desc(), attributes());
    turned_bytes_ = aligned(backward_input_->weights_desc().get_size());
    scratch_bytes_ = std::max(scratch_bytes_, turn_->scratchpad_desc().get_size());
  }
}

void OneDnnConvolution::bind(const ConvolutionBuffers& buffers) {
  std::byte* const turned = buffers.workspace + spread_bytes_;
  std::byte* const scratch = turned + turned_bytes_;
  forward_call_ =
      Call(dnnl::convolution_forward(forward_), {{DNNL_ARG_SRC, input_, buffers.input},
                                                 {DNNL_ARG_WEIGHTS, weights_, buffers.weights},
                                                 {DNNL_ARG_BIAS, bias_, buffers.bias},
                                                 {DNNL_ARG_DST, output_, buffers.output},
                                                 {DNNL_ARG_SCRATCHPAD, forward_.scratchpad_desc(), scratch}});
  if (backward_weights_) {
    weights_call_ = Call(dnnl::convolution_backward_weights(*backward_weights_),
                         {{DNNL_ARG_SRC, input_, buffers.input},
                          {DNNL_ARG_DIFF_DST, output_, buffers.output_gradient},
                          {DNNL_ARG_DIFF_WEIGHTS, weights_, buffers.weight_gradient},
                          {DNNL_ARG_DIFF_BIAS, bias_, buffers.bias_gradient},
                          {DNNL_ARG_SCRATCHPAD, backward_weights_->scratchpad_desc(), scratch}});
  }
  if (!backward_input_) return;
  output_gradient_ = buffers.output_gradient;
  const void* gradient = buffers.output_gradient;
  if (spreads()) {
    spread_gradient_ = reinterpret_cast<float*>(buffers.workspace);
    gradient = spread_gradient_;
  }
  const void* weights = buffers.weights;
  if (turn_) {
    turn_call_ = Call(dnnl::reorder(*turn_), {{DNNL_ARG_FROM, weights_, buffers.weights},
                                              {DNNL_ARG_TO, backward_input_->weights_desc(), turned},
                                              {DNNL_ARG_SCRATCHPAD, turn_->scratchpad_desc(), scratch}});
    weights = turned;
  }
  input_call_ = Call(dnnl::convolution_backward_data(*backward_input_),
                     {{DNNL_ARG_DIFF_DST, spread_, gradient},
                      {DNNL_ARG_WEIGHTS, backward_input_->weights_desc(), weights},
                      {DNNL_ARG_DIFF_SRC, input_, buffers.input_gradient},
                      {DNNL_ARG_SCRATCHPAD, backward_input_->scratchpad_desc(), scratch}});
}

void OneDnnConvolution::backward_input() {
  if (turn_) turn_call_();
  if (spreads()) spread_output_gradient();
  input_call_();
}

void OneDnnConvolution::spread_output_gradient() const {
  const auto block = static_cast<size_t>(channel_block());
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
  if (turn_) names.push_back(std::string("turn ") + turn_->impl_info_str());
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
