#include "engine/plan_common.h"

namespace retort::engine {
namespace {

using kernels::Activation;
using kernels::BlockedShape;

class BatchNorm final : public Operation {
 public:
  explicit BatchNorm(const OperationSite& site)
      : op_(std::get<graph::BatchNorm>(site.graph.node(site.operation.node).op)),
        shape_(memory_shape(site.graph, site.lowered, site.operation.node, site.images)),
        workers_(site.threads, site.images),
        training_(site.mode == PlanMode::Training),
        activation_(site.operation.activation),
        input_mask_(site.operation.input_mask),
        gamma_(site.layout.place(site.operation.node, graph::Role::Gamma)),
        beta_(site.layout.place(site.operation.node, graph::Role::Beta)),
        mean_(site.layout.place(site.operation.node, graph::Role::Mean)),
        variance_(site.layout.place(site.operation.node, graph::Role::Variance)),
        input_gradient_(site.input_gradient),
        title_(title(site, "batch norm")) {}

  [[nodiscard]] MemoryNeeds needs() const override {
    MemoryNeeds needs;
    needs.kept_bytes = 2 * vector_bytes();  // mean, 1/standard deviation
    needs.workspace_bytes = 2 * vector_bytes() + sums_bytes();
    needs.backward_reads_input = true;
    needs.forward_in_place = true;
    needs.backward_in_place = true;
    return needs;
  }

  void forward(const StepInput& step) override {
    const float* x = memory_.inputs[0];
    if (training_)
      take_moments(x, step.count);
    else
      kernels::batch_norm_inv_std(shape_.channels(), state(variance_), op_.epsilon, inv_std());
    const kernels::BatchNormView norm = view();
    workers_.run([&](const ImageRange& range) {
      const size_t begin = begin_of(shape_, range);
      kernels::batch_norm_forward(part(shape_, range), norm, x + begin, memory_.output + begin);
    });
  }

  void backward() override {
    const float* x = memory_.inputs[0];
    float* gradient = memory_.output_gradient;
    float* dgamma = memory_.parameter_gradients + gamma_.offset;
    float* dbeta = memory_.parameter_gradients + beta_.offset;
    const kernels::BatchNormView norm = view();
    workers_.run([&](const ImageRange& range) {
      const size_t begin = begin_of(shape_, range);
      kernels::batch_norm_backward_sums(part(shape_, range), norm, x + begin, gradient + begin,
                                        sums(range.index));
    });
    kernels::batch_norm_backward_finish(shape_.channels(), workers_.ranges(), sums(0), dgamma, dbeta);
    if (!input_gradient_) return;
    const auto count = static_cast<int64_t>(shape_.pixels()) * shape_.images;
    workers_.run([&](const ImageRange& range) {
      const size_t begin = begin_of(shape_, range);
      kernels::batch_norm_backward(part(shape_, range), norm, input_mask_, count, dgamma, dbeta, x + begin,
                                   gradient + begin, gradient + begin);
    });
  }

  [[nodiscard]] std::string describe() const override { return title_ + ": own kernel"; }

 private:
  // Mean and biased variance of the batch. The running averages move towards these very two, as Keras 3's do;
  // PyTorch's running variance is the unbiased one.
  void take_moments(const float* x, int images) {
    float* shift = workspace_vector(0);
    float* variance = workspace_vector(1);
    kernels::batch_norm_shift(shape_, x, shift);
    workers_.run([&](const ImageRange& range) {
      kernels::batch_norm_sums(part(shape_, range), x + begin_of(shape_, range), shift, sums(range.index));
    });
    const int64_t count = static_cast<int64_t>(shape_.pixels()) * images;
    kernels::batch_norm_finish(shape_.channels(), workers_.ranges(), count, sums(0), shift, op_.epsilon,
                               batch_mean(), inv_std(), variance);
    float* running_mean = state(mean_);
    float* running_variance = state(variance_);
    for (size_t c = 0; c < shape_.channels(); ++c) {
      running_mean[c] = op_.momentum * running_mean[c] + (1 - op_.momentum) * batch_mean()[c];
      running_variance[c] = op_.momentum * running_variance[c] + (1 - op_.momentum) * variance[c];
    }
  }

  [[nodiscard]] size_t vector_bytes() const { return aligned_bytes(shape_.channels() * sizeof(float)); }
  [[nodiscard]] size_t sums_bytes() const {
    return static_cast<size_t>(workers_.ranges()) * 2 * shape_.channels() * sizeof(double);
  }
  [[nodiscard]] float* state(const ParameterLayout::Place& place) const {
    return memory_.parameters + place.offset;
  }
  [[nodiscard]] kernels::BatchNormView view() const {
    return {training_ ? batch_mean() : state(mean_), inv_std(), state(gamma_), state(beta_), activation_};
  }
  [[nodiscard]] float* batch_mean() const { return reinterpret_cast<float*>(memory_.kept); }
  [[nodiscard]] float* inv_std() const { return reinterpret_cast<float*>(memory_.kept + vector_bytes()); }
  [[nodiscard]] float* workspace_vector(size_t index) const {
    return reinterpret_cast<float*>(memory_.workspace + index * vector_bytes());
  }
  [[nodiscard]] double* sums(int range) const {
    return reinterpret_cast<double*>(memory_.workspace + 2 * vector_bytes()) +
           static_cast<size_t>(range) * 2 * shape_.channels();
  }

  graph::BatchNorm op_;
  BlockedShape shape_;
  Workers workers_;
  bool training_;
  Activation activation_;
  Activation input_mask_;
  ParameterLayout::Place gamma_;
  ParameterLayout::Place beta_;
  ParameterLayout::Place mean_;
  ParameterLayout::Place variance_;
  bool input_gradient_;
  std::string title_;
};

}  // namespace

std::unique_ptr<Operation> make_batch_norm(const OperationSite& site) {
  return std::make_unique<BatchNorm>(site);
}

}  // namespace retort::engine
