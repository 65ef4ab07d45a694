// Operations without kernels: conversion, activations, pools, sums, dropout, fake quantisation.
#include <array>

#include <fmt/format.h>

#include "engine/plan_common.h"
#include "graph/quantized_form.h"

namespace retort::engine {

using kernels::Activation;
using kernels::BlockedShape;

std::string_view suffix(Activation activation) {
  switch (activation) {
    case Activation::Relu:
      return " + relu";
    case Activation::Relu6:
      return " + relu6";
    default:
      return "";
  }
}

std::string title(const OperationSite& site, std::string_view what) {
  const LoweredOperation& operation = site.operation;
  std::string from;
  if (!operation.inputs.empty()) from = to_string(site.graph.node(operation.inputs[0]).shape) + " → ";
  return fmt::format("{} {} {}{}{}", operation.node, what, from,
                     to_string(site.graph.node(operation.output).shape), suffix(operation.activation));
}

void mask_output_gradient(const Workers& workers, const BlockedShape& shape, Activation mask,
                          const OperationMemory& memory) {
  if (mask == Activation::None) return;
  workers.run([&](const ImageRange& range) {
    const size_t begin = begin_of(shape, range);
    float* gradient = memory.output_gradient + begin;
    kernels::activation_backward(size_of(shape, range), mask, memory.output + begin, gradient, gradient);
  });
}

namespace {

class Convert final : public Operation {
 public:
  explicit Convert(const OperationSite& site)
      : planar_(site.lowered.planar_input),
        planar_shape_(site.lowered.planar),
        blocked_shape_(memory_shape(site.graph, site.lowered, 0, site.images)),
        channels_(site.graph.input_shape().channels),
        image_bytes_(static_cast<size_t>(site.graph.input_shape().size())),
        threads_(site.threads),
        title_(title(site, planar_ ? "bytes to planar" : "bytes to blocked")) {}

  [[nodiscard]] MemoryNeeds needs() const override { return {}; }
  void forward(const StepInput& step) override {
    Workers(threads_, step.count).run([&](const ImageRange& range) {
      const auto first = static_cast<size_t>(range.first);
      const uint8_t* images = step.images + first * image_bytes_;
      if (planar_) {
        kernels::PlanarShape shape = planar_shape_;
        shape.images = range.count;
        kernels::bytes_to_planar(shape, images, memory_.output + first * shape.image_size());
      } else {
        kernels::bytes_to_blocked(part(blocked_shape_, range), channels_, images,
                                  memory_.output + begin_of(blocked_shape_, range));
      }
    });
  }
  [[nodiscard]] std::string describe() const override { return title_ + ": own kernel"; }

 private:
  bool planar_;
  kernels::PlanarShape planar_shape_;
  BlockedShape blocked_shape_;
  int channels_;
  size_t image_bytes_;
  int threads_;
  std::string title_;
};

class ActivationOperation final : public Operation {
 public:
  explicit ActivationOperation(const OperationSite& site)
      : shape_(memory_shape(site.graph, site.lowered, site.operation.node, site.images)),
        workers_(site.threads, site.images),
        activation_(site.operation.activation),
        own_mask_(site.operation.own_mask),
        title_(title(site, "activation")) {}

  [[nodiscard]] MemoryNeeds needs() const override {
    MemoryNeeds needs;
    needs.backward_reads_output = use_of(own_mask_);
    needs.forward_in_place = true;
    needs.backward_in_place = true;
    return needs;
  }
  void forward(const StepInput& /*step*/) override {
    workers_.run([&](const ImageRange& range) {
      const size_t begin = begin_of(shape_, range);
      kernels::activation_forward(size_of(shape_, range), activation_, memory_.inputs[0] + begin,
                                  memory_.output + begin);
    });
  }
  void backward() override { mask_output_gradient(workers_, shape_, own_mask_, memory_); }
  [[nodiscard]] std::string describe() const override { return title_ + ": own kernel"; }

 private:
  BlockedShape shape_;
  Workers workers_;
  Activation activation_;
  Activation own_mask_;
  std::string title_;
};

class Pool final : public Operation {
 public:
  explicit Pool(const OperationSite& site)
      : kind_(site.operation.kind),
        in_(memory_shape(site.graph, site.lowered, site.graph.node(site.operation.node).inputs[0],
                         site.images)),
        out_(memory_shape(site.graph, site.lowered, site.operation.node, site.images)),
        workers_(site.threads, site.images),
        keeps_winners_(kind_ == OperationKind::MaxPool && site.mode == PlanMode::Training),
        input_mask_(site.operation.input_mask),
        title_(title(site, kind_ == OperationKind::MaxPool   ? "max pool"
                           : kind_ == OperationKind::AvgPool ? "average pool"
                                                             : "global average pool")) {
    const graph::Node& node = site.graph.node(site.operation.node);
    const graph::Shape& input = site.graph.node(node.inputs[0]).shape;
    if (const auto* max_pool = std::get_if<graph::MaxPool>(&node.op))
      window_ = memory_window(max_pool->window, input);
    else if (const auto* avg_pool = std::get_if<graph::AvgPool>(&node.op))
      window_ = memory_window(avg_pool->window, input);
  }

  [[nodiscard]] MemoryNeeds needs() const override {
    MemoryNeeds needs;
    needs.kept_bytes = keeps_winners_ ? out_.size() : 0;
    if (kind_ == OperationKind::MaxPool) needs.backward_reads_output = use_of(input_mask_);
    if (kind_ == OperationKind::GlobalAvgPool) needs.backward_reads_input = input_mask_ != Activation::None;
    return needs;
  }
  void forward(const StepInput& /*step*/) override {
    workers_.run([&](const ImageRange& range) {
      const float* x = memory_.inputs[0] + begin_of(in_, range);
      float* y = memory_.output + begin_of(out_, range);
      if (kind_ == OperationKind::MaxPool)
        kernels::max_pool_forward(part(in_, range), part(out_, range), window_, x, y, winners(range));
      else if (kind_ == OperationKind::AvgPool)
        kernels::avg_pool_forward(part(in_, range), part(out_, range), window_, x, y);
      else
        kernels::global_avg_pool_forward(part(in_, range), x, y);
    });
  }
  void backward() override {
    workers_.run([&](const ImageRange& range) {
      const size_t in_begin = begin_of(in_, range);
      const size_t out_begin = begin_of(out_, range);
      const float* dy = memory_.output_gradient + out_begin;
      float* dx = memory_.input_gradient + in_begin;
      const bool masks = input_mask_ != Activation::None;
      if (kind_ == OperationKind::MaxPool)
        kernels::max_pool_backward(part(in_, range), part(out_, range), window_, dy, winners(range),
                                   masks ? memory_.output + out_begin : nullptr, input_mask_, dx);
      else if (kind_ == OperationKind::AvgPool)
        kernels::avg_pool_backward(part(in_, range), part(out_, range), window_, dy, dx);
      else
        kernels::global_avg_pool_backward(part(in_, range), dy,
                                          masks ? memory_.inputs[0] + in_begin : nullptr, input_mask_, dx);
    });
  }
  [[nodiscard]] std::string describe() const override { return title_ + ": own kernel"; }

 private:
  [[nodiscard]] uint8_t* winners(const ImageRange& range) const {
    if (!keeps_winners_) return nullptr;
    return reinterpret_cast<uint8_t*>(memory_.kept) + begin_of(out_, range);
  }

  OperationKind kind_;
  BlockedShape in_;
  BlockedShape out_;
  Workers workers_;
  bool keeps_winners_;
  Activation input_mask_;
  kernels::Window2d window_;
  std::string title_;
};

// Its gradient goes to both inputs; the plan copies it.
class Add final : public Operation {
 public:
  explicit Add(const OperationSite& site)
      : shape_(memory_shape(site.graph, site.lowered, site.operation.node, site.images)),
        workers_(site.threads, site.images),
        activation_(site.operation.activation),
        own_mask_(site.operation.own_mask),
        title_(title(site, "add")) {}

  [[nodiscard]] MemoryNeeds needs() const override {
    MemoryNeeds needs;
    needs.backward_reads_output = use_of(own_mask_);
    needs.forward_in_place = true;
    needs.backward_in_place = true;
    return needs;
  }
  void forward(const StepInput& /*step*/) override {
    workers_.run([&](const ImageRange& range) {
      const size_t begin = begin_of(shape_, range);
      kernels::add_forward(size_of(shape_, range), memory_.inputs[0] + begin, memory_.inputs[1] + begin,
                           activation_, memory_.output + begin);
    });
  }
  void backward() override { mask_output_gradient(workers_, shape_, own_mask_, memory_); }
  [[nodiscard]] std::string describe() const override { return title_ + ": own kernel"; }

 private:
  BlockedShape shape_;
  Workers workers_;
  Activation activation_;
  Activation own_mask_;
  std::string title_;
};

// What is dropped depends on a key alone, drawn once a step, so backward draws the same again.
class Dropout final : public Operation {
 public:
  explicit Dropout(const OperationSite& site)
      : rate_(std::get<graph::Dropout>(site.graph.node(site.operation.node).op).rate),
        shape_(memory_shape(site.graph, site.lowered, site.operation.node, site.images)),
        workers_(site.threads, site.images),
        title_(title(site, "dropout")) {}

  [[nodiscard]] MemoryNeeds needs() const override {
    MemoryNeeds needs;
    needs.forward_in_place = true;
    needs.keeps_signs = true;
    needs.backward_in_place = true;
    return needs;
  }
  void forward(const StepInput& step) override {
    key_ = static_cast<uint64_t>(step.rng->next_u32()) << 32;
    key_ |= step.rng->next_u32();
    apply(memory_.inputs[0], memory_.output);
  }
  void backward() override { apply(memory_.output_gradient, memory_.output_gradient); }
  [[nodiscard]] std::string describe() const override { return title_ + ": own kernel"; }

 private:
  void apply(const float* from, float* to) const {
    workers_.run([&](const ImageRange& range) {
      const size_t begin = begin_of(shape_, range);
      kernels::dropout(size_of(shape_, range), rate_, key_, begin, from + begin, to + begin);
    });
  }

  float rate_;
  BlockedShape shape_;
  Workers workers_;
  uint64_t key_ = 0;
  std::string title_;
};

class FakeQuant final : public Operation {
 public:
  explicit FakeQuant(const OperationSite& site)
      : momentum_(std::get<graph::FakeQuant>(site.graph.node(site.operation.node).op).momentum),
        shape_(memory_shape(site.graph, site.lowered, site.operation.node, site.images)),
        planar_(site.lowered.planar_input && site.operation.inputs[0] == 0),
        planar_size_(site.lowered.planar.image_size() * static_cast<size_t>(site.images)),
        reads_input_(site.graph.node(site.operation.node).inputs[0] == 0),
        workers_(planar_ ? 1 : site.threads, site.images),
        training_(site.mode == PlanMode::Training),
        keeps_bits_(training_ && site.input_gradient),
        range_(site.layout.place(site.operation.node, graph::Role::Range)),
        title_(title(site, "fake quant")) {}

  [[nodiscard]] MemoryNeeds needs() const override {
    MemoryNeeds needs;
    needs.kept_bytes = keeps_bits_ ? aligned_bytes(shape_.size() / 8) : 0;
    needs.workspace_bytes = static_cast<size_t>(workers_.ranges()) * sizeof(kernels::Range);
    needs.forward_in_place = true;
    needs.backward_in_place = true;
    return needs;
  }

  void forward(const StepInput& step) override {
    float* range = memory_.parameters + range_.offset;
    if (training_) move_range(range, step.count);
    const graph::QuantGrid grid = graph::quant_grid(range[0], range[1]);
    workers_.run([&](const ImageRange& images) {
      kernels::fake_quantize(round_up(count(images), 8), grid.scale, grid.zero_point,
                             memory_.inputs[0] + begin(images), memory_.output + begin(images), bits(images));
    });
  }

  void backward() override {
    workers_.run([&](const ImageRange& images) {
      float* gradient = memory_.output_gradient + begin(images);
      kernels::fake_quantize_backward(count(images), bits(images), gradient, gradient);
    });
  }
  [[nodiscard]] std::string describe() const override { return title_ + ": own kernel"; }

 private:
  // The network's input keeps its grid: a byte always means the same.
  void move_range(float* range, int /*images*/) {
    const bool unset = range[0] == 0 && range[1] == 0;
    if (!unset && reads_input_) return;
    auto* found = reinterpret_cast<kernels::Range*>(memory_.workspace);
    workers_.run([&](const ImageRange& images) {
      found[images.index] = kernels::min_max(count(images), memory_.inputs[0] + begin(images));
    });
    std::array<double, 2> batch{0, 0};  // every grid contains 0
    for (int i = 0; i < workers_.ranges(); ++i) {
      batch[0] = std::min(batch[0], static_cast<double>(found[i].minimum));
      batch[1] = std::max(batch[1], static_cast<double>(found[i].maximum));
    }
    const double momentum = unset ? 0 : static_cast<double>(momentum_);
    for (size_t i = 0; i < 2; ++i)
      range[i] = static_cast<float>(momentum * static_cast<double>(range[i]) + (1 - momentum) * batch[i]);
  }

  [[nodiscard]] size_t count(const ImageRange& images) const {
    return planar_ ? planar_size_ : size_of(shape_, images);
  }
  [[nodiscard]] size_t begin(const ImageRange& images) const {
    return planar_ ? 0 : begin_of(shape_, images);
  }
  [[nodiscard]] uint8_t* bits(const ImageRange& images) const {
    return keeps_bits_ ? reinterpret_cast<uint8_t*>(memory_.kept) + begin(images) / 8 : nullptr;
  }

  float momentum_;
  BlockedShape shape_;
  bool planar_;
  size_t planar_size_;
  bool reads_input_;
  Workers workers_;
  bool training_;
  bool keeps_bits_;
  ParameterLayout::Place range_;
  std::string title_;
};

// Flatten into the canonical order of features.
class Rows final : public Operation {
 public:
  explicit Rows(const OperationSite& site)
      : in_(memory_shape(site.graph, site.lowered, site.graph.node(site.operation.node).inputs[0],
                         site.images)),
        out_(memory_shape(site.graph, site.lowered, site.operation.node, site.images)),
        channels_(site.graph.node(site.graph.node(site.operation.node).inputs[0]).shape.channels),
        workers_(site.threads, site.images),
        title_(title(site, "flatten")) {}

  [[nodiscard]] MemoryNeeds needs() const override { return {}; }
  void forward(const StepInput& /*step*/) override {
    workers_.run([&](const ImageRange& range) {
      kernels::blocked_to_rows(part(in_, range), channels_, memory_.inputs[0] + begin_of(in_, range),
                               memory_.output + begin_of(out_, range), out_.channels());
    });
  }
  void backward() override {
    workers_.run([&](const ImageRange& range) {
      kernels::rows_to_blocked(part(in_, range), channels_, memory_.output_gradient + begin_of(out_, range),
                               out_.channels(), memory_.input_gradient + begin_of(in_, range));
    });
  }
  [[nodiscard]] std::string describe() const override { return title_ + ": own kernel"; }

 private:
  BlockedShape in_;
  BlockedShape out_;
  int channels_;
  Workers workers_;
  std::string title_;
};

}  // namespace

std::unique_ptr<Operation> make_operation(const OperationSite& site) {
  switch (site.operation.kind) {
    case OperationKind::Convert:
      return std::make_unique<Convert>(site);
    case OperationKind::FirstConv:
    case OperationKind::FirstConvPool:
      return make_first_convolution(site);
    case OperationKind::Conv:
      return make_convolution(site);
    case OperationKind::Dense:
      return make_dense(site);
    case OperationKind::Depthwise:
      return make_depthwise(site);
    case OperationKind::BatchNorm:
      return make_batch_norm(site);
    case OperationKind::Activation:
      return std::make_unique<ActivationOperation>(site);
    case OperationKind::MaxPool:
    case OperationKind::AvgPool:
    case OperationKind::GlobalAvgPool:
      return std::make_unique<Pool>(site);
    case OperationKind::Add:
      return std::make_unique<Add>(site);
    case OperationKind::Dropout:
      return std::make_unique<Dropout>(site);
    case OperationKind::FakeQuant:
      return std::make_unique<FakeQuant>(site);
    case OperationKind::Rows:
      return std::make_unique<Rows>(site);
  }
  return nullptr;
}

}  // namespace retort::engine
