#include <algorithm>
#include <optional>

#include "base/error.h"
#include "engine/onednn/primitives.h"

namespace retort::engine::onednn {
namespace {

using dnnl::memory;
using Tag = memory::format_tag;

constexpr auto kFloat = memory::data_type::f32;

class OneDnnDense final : public Layer {
 public:
  OneDnnDense(const DenseShape& shape, Passes passes);

  [[nodiscard]] size_t workspace_bytes() const override { return scratch_bytes_; }
  void bind(const LayerBuffers& buffers) override;
  void forward() override { forward_call_(); }
  void backward_weights() override { weights_call_(); }
  void backward_input() override { input_call_(); }
  [[nodiscard]] std::vector<std::string> implementations() const override;

 private:
  memory::desc input_;
  memory::desc weights_;
  memory::desc bias_;
  memory::desc output_;
  dnnl::inner_product_forward::primitive_desc forward_;
  std::optional<dnnl::inner_product_backward_weights::primitive_desc> backward_weights_;
  std::optional<dnnl::inner_product_backward_data::primitive_desc> backward_input_;
  size_t scratch_bytes_ = 0;
  Call forward_call_;
  Call weights_call_;
  Call input_call_;
};

OneDnnDense::OneDnnDense(const DenseShape& shape, Passes passes)
    : input_({shape.batch, shape.in}, kFloat, Tag::nc),
      weights_({shape.out, shape.in}, kFloat, Tag::oi),
      bias_(shape.bias == Bias::Present ? memory::desc({shape.out}, kFloat, Tag::x) : memory::desc()),
      output_({shape.batch, shape.out}, kFloat, Tag::nc) {
  const auto kind =
      passes == Passes::Forward ? dnnl::prop_kind::forward_inference : dnnl::prop_kind::forward_training;
  forward_ = dnnl::inner_product_forward::primitive_desc({kind, input_, weights_, bias_, output_},
                                                         attributes(shape.activation), cpu_engine());
  scratch_bytes_ = forward_.scratchpad_desc().get_size();
  if (passes == Passes::Forward) return;
  backward_weights_.emplace(dnnl::inner_product_backward_weights::desc(input_, weights_, bias_, output_),
                            attributes(), cpu_engine(), forward_);
  scratch_bytes_ = std::max(scratch_bytes_, backward_weights_->scratchpad_desc().get_size());
  if (passes == Passes::All) {
    backward_input_.emplace(dnnl::inner_product_backward_data::desc(input_, weights_, output_), attributes(),
                            cpu_engine(), forward_);
    scratch_bytes_ = std::max(scratch_bytes_, backward_input_->scratchpad_desc().get_size());
  }
}

void OneDnnDense::bind(const LayerBuffers& buffers) {
  forward_call_ = Call(dnnl::inner_product_forward(forward_),
                       {{DNNL_ARG_SRC, input_, buffers.input},
                        {DNNL_ARG_WEIGHTS, weights_, buffers.weights},
                        {DNNL_ARG_BIAS, bias_, buffers.bias},
                        {DNNL_ARG_DST, output_, buffers.output},
                        {DNNL_ARG_SCRATCHPAD, forward_.scratchpad_desc(), buffers.workspace}});
  if (backward_weights_) {
    weights_call_ = Call(dnnl::inner_product_backward_weights(*backward_weights_),
                         {{DNNL_ARG_SRC, input_, buffers.input},
                          {DNNL_ARG_DIFF_DST, output_, buffers.output_gradient},
                          {DNNL_ARG_DIFF_WEIGHTS, weights_, buffers.weight_gradient},
                          {DNNL_ARG_DIFF_BIAS, bias_, buffers.bias_gradient},
                          {DNNL_ARG_SCRATCHPAD, backward_weights_->scratchpad_desc(), buffers.workspace}});
  }
  if (backward_input_) {
    input_call_ = Call(dnnl::inner_product_backward_data(*backward_input_),
                       {{DNNL_ARG_DIFF_DST, output_, buffers.output_gradient},
                        {DNNL_ARG_WEIGHTS, weights_, buffers.weights},
                        {DNNL_ARG_DIFF_SRC, input_, buffers.input_gradient},
                        {DNNL_ARG_SCRATCHPAD, backward_input_->scratchpad_desc(), buffers.workspace}});
  }
}

std::vector<std::string> OneDnnDense::implementations() const {
  std::vector<std::string> names{std::string("forward ") + forward_.impl_info_str()};
  if (backward_weights_) names.push_back(std::string("weights ") + backward_weights_->impl_info_str());
  if (backward_input_) names.push_back(std::string("input ") + backward_input_->impl_info_str());
  return names;
}

}  // namespace

std::unique_ptr<Layer> make_dense(const DenseShape& shape, Passes passes) {
  try {
    return std::make_unique<OneDnnDense>(shape, passes);
  } catch (const dnnl::error& error) {
    throw_failure("oneDNN refuses a dense layer of {} to {}: {}", shape.in, shape.out, error.what());
  }
}

}  // namespace retort::engine::onednn
