// Operations with kernels: the first convolution, other convolutions (oneDNN), dense layers, depthwise.
#include <cstring>

#include "engine/kernels/dense.h"
#include "engine/onednn/onednn.h"
#include "engine/plan_common.h"

namespace retort::engine {
namespace {

using kernels::Activation;
using kernels::BlockedShape;

onednn::Activation to_onednn(Activation activation) {
  switch (activation) {
    case Activation::Relu:
      return onednn::Activation::Relu;
    case Activation::Relu6:
      return onednn::Activation::Relu6;
    default:
      return onednn::Activation::None;
  }
}

// What layers with a kernel share: where kernel and bias lie, and the kernel's int8-rounded copy.
class KernelTensors {
 public:
  KernelTensors(const OperationSite& site, graph::WeightGrid grid)
      : kernel_(site.layout.place(site.operation.node, graph::Role::Kernel)),
        bias_(site.layout.place(site.operation.node, graph::Role::Bias)),
        rounded_(grid == graph::WeightGrid::Int8) {}

  [[nodiscard]] bool has_bias() const { return bias_.size > 0; }
  [[nodiscard]] bool rounded() const { return rounded_; }
  [[nodiscard]] size_t kernel_size() const { return kernel_.size; }
  [[nodiscard]] size_t bias_size() const { return bias_.size; }
  // The rounded copy lives from forward to backward.
  [[nodiscard]] size_t kept_bytes() const {
    return rounded_ ? aligned_bytes(kernel_.size * sizeof(float)) : 0;
  }

  [[nodiscard]] const float* kernel(const OperationMemory& memory) const {
    return memory.parameters + kernel_.offset;
  }
  // The kernel as forward and the input's gradient use it.
  [[nodiscard]] float* used(const OperationMemory& memory) const {
    return rounded_ ? reinterpret_cast<float*>(memory.kept) : memory.parameters + kernel_.offset;
  }
  [[nodiscard]] const float* bias(const OperationMemory& memory) const {
    return has_bias() ? memory.parameters + bias_.offset : nullptr;
  }
  [[nodiscard]] float* kernel_gradient(const OperationMemory& memory) const {
    return memory.parameter_gradients == nullptr ? nullptr : memory.parameter_gradients + kernel_.offset;
  }
  [[nodiscard]] float* bias_gradient(const OperationMemory& memory) const {
    return memory.parameter_gradients == nullptr || !has_bias() ? nullptr
                                                                : memory.parameter_gradients + bias_.offset;
  }

 private:
  ParameterLayout::Place kernel_;
  ParameterLayout::Place bias_;
  bool rounded_;
};

// Gradients of kernel and bias by kernels that add to them: zeroed first, and with several ranges each range
// adds to its own copy, which are then added up in order.
class PartialGradients {
 public:
  PartialGradients(const KernelTensors& tensors, const Workers& workers)
      : kernel_size_(tensors.kernel_size()), bias_size_(tensors.bias_size()), ranges_(workers.ranges()) {}

  [[nodiscard]] size_t workspace_bytes() const {
    return static_cast<size_t>(ranges_ - 1) * stride() * sizeof(float);
  }

  // body(range, kernel gradient, bias gradient or null)
  template <typename Body>
  void run(const Workers& workers, std::byte* workspace, float* kernel, float* bias, const Body& body) const {
    auto* copies = reinterpret_cast<float*>(workspace);
    workers.run([&](const ImageRange& range) {
      float* own_kernel = kernel;
      float* own_bias = bias;
      if (range.index > 0) {
        own_kernel = copies + static_cast<size_t>(range.index - 1) * stride();
        own_bias = bias == nullptr ? nullptr : own_kernel + padded(kernel_size_);
      }
      std::memset(own_kernel, 0, kernel_size_ * sizeof(float));
      if (own_bias != nullptr) std::memset(own_bias, 0, bias_size_ * sizeof(float));
      body(range, own_kernel, own_bias);
    });
    for (int i = 1; i < ranges_; ++i) {
      const float* copy = copies + static_cast<size_t>(i - 1) * stride();
      kernels::accumulate(kernel_size_, copy, kernel);
      if (bias != nullptr) kernels::accumulate(bias_size_, copy + padded(kernel_size_), bias);
    }
  }

 private:
  static size_t padded(size_t floats) { return round_up(floats, kLineFloats); }
  [[nodiscard]] size_t stride() const { return padded(kernel_size_) + padded(bias_size_); }

  size_t kernel_size_;
  size_t bias_size_;
  int ranges_;
};

class FirstConvolution final : public Operation {
 public:
  explicit FirstConvolution(const OperationSite& site)
      : tensors_(site, op(site).grid),
        workers_(site.threads, site.images),
        partial_(tensors_, workers_),
        pooled_(site.operation.kind == OperationKind::FirstConvPool),
        training_(site.mode == PlanMode::Training),
        activation_(site.operation.activation),
        own_mask_(site.operation.own_mask),
        title_(title(site, pooled_ ? "first conv + pool" : "first conv")) {
    const graph::Window& window = op(site).window;
    shape_.input = site.lowered.planar;
    shape_.input.images = site.images;
    shape_.kernel_height = window.kernel_height;
    shape_.kernel_width = window.kernel_width;
    shape_.stride_height = window.stride_height;
    shape_.stride_width = window.stride_width;
    // Not of a ReLU behind a Flatten, which sees the same numbers as one row.
    shape_.output = memory_shape(site.graph, site.lowered,
                                 pooled_ ? site.operation.output : site.operation.node, site.images);
  }

  [[nodiscard]] MemoryNeeds needs() const override {
    MemoryNeeds needs;
    needs.kept_bytes = tensors_.kept_bytes() + (keeps_winners() ? shape_.output.size() : 0);
    needs.workspace_bytes = partial_.workspace_bytes();
    needs.backward_reads_input = true;
    needs.backward_reads_output = use_of(own_mask_);
    return needs;
  }

  void forward(const StepInput& /*step*/) override {
    float* used = tensors_.used(memory_);
    if (tensors_.rounded()) {
      kernels::fake_quantize_weights_blocked(shape_.output.channel_blocks,
                                             tensors_.kernel_size() / shape_.output.channels(),
                                             shape_.output.block, tensors_.kernel(memory_), used, nullptr);
    }
    workers_.run([&](const ImageRange& range) {
      const float* input = memory_.inputs[0] + input_begin(range);
      float* output = memory_.output + begin_of(shape_.output, range);
      if (pooled_)
        kernels::first_conv_pool_forward(of(range), input, used, tensors_.bias(memory_), activation_, output,
                                         winners(range));
      else
        kernels::first_conv_forward(of(range), input, used, tensors_.bias(memory_), activation_, output);
    });
  }

  void backward() override {
    partial_.run(workers_, memory_.workspace, tensors_.kernel_gradient(memory_),
                 tensors_.bias_gradient(memory_), [&](const ImageRange& range, float* kernel, float* bias) {
                   const float* input = memory_.inputs[0] + input_begin(range);
                   const size_t begin = begin_of(shape_.output, range);
                   const float* gradient = memory_.output_gradient + begin;
                   const float* output = own_mask_ == Activation::None ? nullptr : memory_.output + begin;
                   if (pooled_)
                     kernels::first_conv_pool_backward_weights(of(range), input, gradient, output,
                                                               winners(range), own_mask_, kernel, bias);
                   else
                     kernels::first_conv_backward_weights(of(range), input, gradient, output, own_mask_,
                                                          kernel, bias);
                 });
  }

  [[nodiscard]] std::string describe() const override { return title_ + ": own kernel"; }

 private:
  static const graph::Conv& op(const OperationSite& site) {
    return std::get<graph::Conv>(site.graph.node(site.operation.node).op);
  }
  [[nodiscard]] bool keeps_winners() const { return pooled_ && training_; }
  [[nodiscard]] kernels::FirstConvShape of(const ImageRange& range) const {
    kernels::FirstConvShape shape = shape_;
    shape.input.images = range.count;
    shape.output.images = range.count;
    return shape;
  }
  [[nodiscard]] size_t input_begin(const ImageRange& range) const {
    return static_cast<size_t>(range.first) * shape_.input.image_size();
  }
  [[nodiscard]] uint8_t* winners(const ImageRange& range) const {
    if (!keeps_winners()) return nullptr;
    return reinterpret_cast<uint8_t*>(memory_.kept + tensors_.kept_bytes()) + begin_of(shape_.output, range);
  }

  KernelTensors tensors_;
  Workers workers_;
  PartialGradients partial_;
  bool pooled_;
  bool training_;
  Activation activation_;
  Activation own_mask_;
  kernels::FirstConvShape shape_;
  std::string title_;
};

// Any other convolution, by oneDNN.
class Convolution final : public Operation {
 public:
  explicit Convolution(const OperationSite& site)
      : tensors_(site, op(site).grid),
        workers_(site.threads, site.images),
        input_gradient_(site.input_gradient),
        own_mask_(site.operation.own_mask),
        output_(memory_shape(site.graph, site.lowered, site.operation.node, site.images)) {
    const graph::Node& node = site.graph.node(site.operation.node);
    const int input = node.inputs[0];
    const BlockedShape in = memory_shape(site.graph, site.lowered, input, site.images);
    onednn::Passes passes = onednn::Passes::Forward;
    if (site.mode == PlanMode::Training)
      passes = site.input_gradient ? onednn::Passes::All : onednn::Passes::Weights;
    const onednn::Bias bias = tensors_.has_bias() ? onednn::Bias::Present : onednn::Bias::Absent;
    const onednn::Activation activation = to_onednn(site.operation.activation);
    const auto in_channels = static_cast<int>(in.channels());
    const auto out_channels = static_cast<int>(output_.channels());
    const graph::Window& window = op(site).window;
    const graph::WindowGeometry geometry = graph::window_geometry(window, in.height, in.width);
    onednn::ConvolutionShape shape;
    shape.batch = site.images;
    shape.in_channels = in_channels;
    shape.out_channels = out_channels;
    shape.in_height = in.height;
    shape.in_width = in.width;
    shape.out_height = geometry.out_height;
    shape.out_width = geometry.out_width;
    shape.kernel_height = window.kernel_height;
    shape.kernel_width = window.kernel_width;
    shape.stride_height = window.stride_height;
    shape.stride_width = window.stride_width;
    shape.pad_top = geometry.pad_top;
    shape.pad_left = geometry.pad_left;
    shape.bias = bias;
    shape.activation = activation;
    shape.precision = site.precision;
    shape.block = in.block;
    layer_ = onednn::make_convolution(shape, passes);
    title_ = title(site, "conv");
  }

  [[nodiscard]] MemoryNeeds needs() const override {
    MemoryNeeds needs;
    needs.kept_bytes = tensors_.kept_bytes() + layer_->kept_bytes();
    needs.workspace_bytes = layer_->workspace_bytes();
    needs.backward_reads_input = layer_->kept_bytes() == 0;
    needs.backward_reads_output = use_of(own_mask_);
    return needs;
  }

  void bind(const OperationMemory& memory) override {
    Operation::bind(memory);
    onednn::ConvolutionBuffers buffers;
    buffers.input = memory.inputs[0];
    buffers.weights = tensors_.used(memory);
    buffers.bias = tensors_.bias(memory);
    buffers.output = memory.output;
    buffers.output_gradient = memory.output_gradient;
    buffers.input_gradient = memory.input_gradient;
    buffers.weight_gradient = tensors_.kernel_gradient(memory);
    buffers.bias_gradient = tensors_.bias_gradient(memory);
    buffers.kept = memory.kept == nullptr ? nullptr : memory.kept + tensors_.kept_bytes();
    buffers.workspace = memory.workspace;
    layer_->bind(buffers);
  }

  void forward(const StepInput& /*step*/) override {
    if (tensors_.rounded()) round_kernel();
    layer_->forward();
  }

  void backward() override {
    mask_output_gradient(workers_, output_, own_mask_, memory_);
    layer_->backward_weights();
    if (input_gradient_) layer_->backward_input();
  }

  [[nodiscard]] std::string describe() const override {
    std::string text = title_ + ":";
    for (const std::string& name : layer_->implementations()) text += " [" + name + "]";
    return text;
  }

 private:
  static const graph::Conv& op(const OperationSite& site) {
    return std::get<graph::Conv>(site.graph.node(site.operation.node).op);
  }
  void round_kernel() {
    float* used = tensors_.used(memory_);
    const size_t inner = tensors_.kernel_size() / output_.channels();
    kernels::fake_quantize_weights_blocked(output_.channel_blocks, inner, output_.block,
                                           tensors_.kernel(memory_), used, nullptr);
  }

  KernelTensors tensors_;
  Workers workers_;
  bool input_gradient_;
  Activation own_mask_;
  BlockedShape output_;
  std::unique_ptr<onednn::Convolution> layer_;
  std::string title_;
};

class Dense final : public Operation {
 public:
  explicit Dense(const OperationSite& site)
      : tensors_(site, std::get<graph::Dense>(site.graph.node(site.operation.node).op).grid),
        workers_(site.threads, site.images),
        input_gradient_(site.input_gradient),
        activation_(site.operation.activation),
        own_mask_(site.operation.own_mask),
        output_(memory_shape(site.graph, site.lowered, site.operation.node, site.images)),
        title_(title(site, "dense")) {
    const int input = site.graph.node(site.operation.node).inputs[0];
    size_ = {site.images, static_cast<int>(memory_shape(site.graph, site.lowered, input, 1).channels()),
             static_cast<int>(output_.channels())};
    training_ = site.mode == PlanMode::Training;
  }

  [[nodiscard]] MemoryNeeds needs() const override {
    MemoryNeeds needs;
    needs.kept_bytes = tensors_.kept_bytes();
    if (training_)
      needs.workspace_bytes = static_cast<size_t>(workers_.ranges()) * workspace_floats() * sizeof(float);
    needs.backward_reads_input = true;
    needs.backward_reads_output = use_of(own_mask_);
    return needs;
  }

  void forward(const StepInput& /*step*/) override {
    float* used = tensors_.used(memory_);
    if (tensors_.rounded())
      kernels::fake_quantize_weights_rows(static_cast<size_t>(size_.out), static_cast<size_t>(size_.in),
                                          tensors_.kernel(memory_), used, nullptr);
    workers_.run([&](const ImageRange& range) {
      kernels::dense_forward(part_of(range), memory_.inputs[0] + in_begin(range), used,
                             tensors_.bias(memory_), activation_, memory_.output + out_begin(range));
    });
  }

  void backward() override {
    mask_output_gradient(workers_, output_, own_mask_, memory_);
    // The weights' gradient is split by outputs: each thread then sums over the whole batch, in one order.
    Workers(workers_.ranges(), size_.out).run([&](const ImageRange& outputs) {
      kernels::dense_backward_weights(size_, outputs.first, outputs.first + outputs.count, memory_.inputs[0],
                                      memory_.output_gradient, workspace(outputs),
                                      tensors_.kernel_gradient(memory_), tensors_.bias_gradient(memory_));
    });
    if (!input_gradient_) return;
    workers_.run([&](const ImageRange& range) {
      kernels::dense_backward_data(part_of(range), memory_.output_gradient + out_begin(range),
                                   tensors_.used(memory_), workspace(range),
                                   memory_.input_gradient + in_begin(range));
    });
  }

  [[nodiscard]] std::string describe() const override { return title_ + ": own kernel"; }

 private:
  [[nodiscard]] kernels::DenseSize part_of(const ImageRange& range) const {
    return {range.count, size_.in, size_.out};
  }
  [[nodiscard]] size_t in_begin(const ImageRange& range) const {
    return static_cast<size_t>(range.first) * static_cast<size_t>(size_.in);
  }
  [[nodiscard]] size_t out_begin(const ImageRange& range) const {
    return static_cast<size_t>(range.first) * static_cast<size_t>(size_.out);
  }
  [[nodiscard]] size_t workspace_floats() const {
    return round_up(kernels::dense_backward_workspace(size_), kLineFloats);
  }
  [[nodiscard]] float* workspace(const ImageRange& range) const {
    return reinterpret_cast<float*>(memory_.workspace) +
           static_cast<size_t>(range.index) * workspace_floats();
  }

  KernelTensors tensors_;
  Workers workers_;
  bool input_gradient_;
  bool training_ = false;
  Activation activation_;
  Activation own_mask_;
  BlockedShape output_;
  kernels::DenseSize size_;
  std::string title_;
};

class Depthwise final : public Operation {
 public:
  explicit Depthwise(const OperationSite& site)
      : tensors_(site, op(site).grid),
        workers_(site.threads, site.images),
        partial_(tensors_, workers_),
        input_gradient_(site.input_gradient),
        activation_(site.operation.activation),
        own_mask_(site.operation.own_mask),
        title_(title(site, "depthwise")) {
    const graph::Node& node = site.graph.node(site.operation.node);
    in_ = memory_shape(site.graph, site.lowered, node.inputs[0], site.images);
    out_ = memory_shape(site.graph, site.lowered, site.operation.node, site.images);
    window_ = memory_window(op(site).window, site.graph.node(node.inputs[0]).shape);
  }

  [[nodiscard]] MemoryNeeds needs() const override {
    MemoryNeeds needs;
    needs.kept_bytes = tensors_.kept_bytes();
    needs.workspace_bytes = partial_.workspace_bytes();
    needs.backward_reads_input = true;
    needs.backward_reads_output = use_of(own_mask_);
    return needs;
  }

  void forward(const StepInput& /*step*/) override {
    float* used = tensors_.used(memory_);
    if (tensors_.rounded()) {
      const size_t cells = tensors_.kernel_size() / out_.channels();
      kernels::fake_quantize_weights_blocked(out_.channel_blocks, cells, out_.block, tensors_.kernel(memory_),
                                             used, nullptr);
    }
    workers_.run([&](const ImageRange& range) {
      kernels::depthwise_forward(part(in_, range), part(out_, range), window_,
                                 memory_.inputs[0] + begin_of(in_, range), used, tensors_.bias(memory_),
                                 activation_, memory_.output + begin_of(out_, range));
    });
  }

  void backward() override {
    mask_output_gradient(workers_, out_, own_mask_, memory_);
    partial_.run(workers_, memory_.workspace, tensors_.kernel_gradient(memory_),
                 tensors_.bias_gradient(memory_), [&](const ImageRange& range, float* kernel, float* bias) {
                   kernels::depthwise_backward_weights(
                       part(in_, range), part(out_, range), window_, memory_.inputs[0] + begin_of(in_, range),
                       memory_.output_gradient + begin_of(out_, range), kernel, bias);
                 });
    if (!input_gradient_) return;
    workers_.run([&](const ImageRange& range) {
      kernels::depthwise_backward_data(part(in_, range), part(out_, range), window_,
                                       memory_.output_gradient + begin_of(out_, range),
                                       tensors_.used(memory_), memory_.input_gradient + begin_of(in_, range));
    });
  }

  [[nodiscard]] std::string describe() const override { return title_ + ": own kernel"; }

 private:
  static const graph::DepthwiseConv& op(const OperationSite& site) {
    return std::get<graph::DepthwiseConv>(site.graph.node(site.operation.node).op);
  }

  KernelTensors tensors_;
  Workers workers_;
  PartialGradients partial_;
  bool input_gradient_;
  Activation activation_;
  Activation own_mask_;
  BlockedShape in_;
  BlockedShape out_;
  kernels::Window2d window_;
  std::string title_;
};

}  // namespace

std::unique_ptr<Operation> make_first_convolution(const OperationSite& site) {
  return std::make_unique<FirstConvolution>(site);
}
std::unique_ptr<Operation> make_convolution(const OperationSite& site) {
  return std::make_unique<Convolution>(site);
}
std::unique_ptr<Operation> make_dense(const OperationSite& site) {
  return std::make_unique<Dense>(site);
}
std::unique_ptr<Operation> make_depthwise(const OperationSite& site) {
  return std::make_unique<Depthwise>(site);
}

}  // namespace retort::engine
