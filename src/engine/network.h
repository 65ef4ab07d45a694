// A graph compiled for training and inference on some device.
#pragma once

#include <cstdint>
#include <memory>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "base/rng.h"
#include "graph/graph.h"
#include "graph/parameters.h"

namespace retort::engine {

// Which published form of Adam's epsilon: Keras adds it to sqrt(v) before bias correction («epsilon hat» in
// Kingma and Ba, 2014, section 2), PyTorch after. The product trains with Keras's.
enum class EpsilonForm { Keras, PyTorch };
enum class OptimizerKind { Adam, Sgd };

struct OptimizerOptions {
  OptimizerKind kind = OptimizerKind::Adam;
  float beta1 = 0.9F;
  float beta2 = 0.999F;
  float epsilon = 1e-7F;
  EpsilonForm epsilon_form = EpsilonForm::Keras;
  float momentum = 0.9F;   // SGD with Nesterov momentum, as Keras and Sutskever et al. 2013
  float weight_decay = 0;  // decoupled (Loshchilov and Hutter 2019), kernels only
  bool operator==(const OptimizerOptions&) const = default;
};

// What convolutions multiply. Parameters, moments, activations and sums are float32 in both. Bfloat16 rounds a
// convolution's inputs, weights and gradients where the processor multiplies bfloat16 and that is quicker;
// elsewhere it is the same as Float32.
enum class Precision { Float32, Bfloat16 };
Precision parse_precision(std::string_view name);  // "float32", "bfloat16"; throws Error(Usage)
std::string_view to_string(Precision precision);

// The batch size of a network that is not trained. Predictions come in batches of their own, and memory for training
// on larger ones would lie idle.
inline constexpr int kPredictsOnly = 1;

struct CompileOptions {
  int batch_size = 32;  // the largest batch to train on; smaller ones are allowed
  int threads = 1;      // candidates take one; the teacher takes all cores
  Precision precision = Precision::Float32;
  OptimizerOptions optimizer{};
};

// loss = α · CE(labels, z) + (1 − α) · T² · KL(softmax(teacher/T) ‖ softmax(z/T)), mean over the batch; z are
// logits. α = 1 is plain cross-entropy and needs no teacher (Hinton et al., arXiv 1503.02531).
struct Objective {
  float alpha = 1;
  float temperature = 1;
  float label_smoothing = 0;  // on the cross-entropy term
};

// What a step sees. Views into memory of the caller.
struct Batch {
  std::span<const uint8_t> images;   // count × input size, NHWC bytes; a byte b enters the network as b/255
  std::span<const uint16_t> labels;  // count
  std::span<const float> teacher_logits;  // count × classes; empty when objective.alpha is 1
};

struct StepResult {
  double loss = 0;  // mean over the batch
  int correct = 0;  // argmax of the logits equals the label
};

// Moments of the optimiser in the parameters' canonical layout, for checkpoints.
struct OptimizerState {
  int64_t steps = 0;
  graph::Parameters first;   // Adam's m, SGD's velocity
  graph::Parameters second;  // Adam's v; empty for SGD
};

// Not thread-safe; one thread drives one Network. Parameters go in and out in graph::Parameters' canonical
// layout, whatever layout the device uses inside.
class Network {
 public:
  virtual ~Network() = default;

  [[nodiscard]] virtual const graph::Graph& graph() const = 0;

  virtual void set_parameters(const graph::Parameters& parameters) = 0;
  [[nodiscard]] virtual graph::Parameters parameters() const = 0;

  // 1 keeps a weight, 0 holds it at zero after every step, from now on. Only kernels' entries are read.
  virtual void set_masks(const graph::Parameters& masks) = 0;
  // As last set; empty when they never were.
  [[nodiscard]] virtual graph::Parameters masks() const = 0;

  virtual void set_optimizer_state(const OptimizerState& state) = 0;
  [[nodiscard]] virtual OptimizerState optimizer_state() const = 0;

  // Forward in training mode (batch norm by batch statistics and its running averages updated, dropout drawn
  // from `rng`, FakeQuant ranges updated), backward; leaves gradients. No allocation, lock or system call.
  virtual StepResult compute_gradients(const Batch& batch, const Objective& objective, Rng& rng) = 0;
  // The last gradients, canonical (state tensors' entries are 0). For tests.
  [[nodiscard]] virtual graph::Parameters gradients() const = 0;
  // One optimiser step with the last gradients. False when a number of the parameters, state tensors included, or of
  // the moments is not finite after it.
  virtual bool apply_gradients(float learning_rate) = 0;
  // A slow second look at a step whose loss is not finite, with the Rng that it began with: the first node whose
  // output has a number that is not; −1 when none is seen. Changes state tensors as the step did.
  virtual int first_output_not_finite(const Batch& batch, const Objective& objective, Rng rng) = 0;

  StepResult train_step(const Batch& batch, const Objective& objective, float learning_rate, Rng& rng) {
    const StepResult result = compute_gradients(batch, objective, rng);
    apply_gradients(learning_rate);
    return result;
  }

  // Forward in inference mode (running statistics, no dropout, fixed ranges). images: count × input size
  // bytes, any count; logits: count × classes.
  virtual void predict(std::span<const uint8_t> images, std::span<float> logits) = 0;

  // Bytes of activations, gradients, parameters and workspace that the network holds.
  [[nodiscard]] virtual int64_t memory_bytes() const = 0;
  // One line a step of each plan made so far (the full batch's is there from the beginning, a smaller one's is made
  // by its first batch, that of inference by the first prediction): what it computes and by which implementation (tests look for slow ones).
  [[nodiscard]] virtual std::vector<std::string> describe_plan() const = 0;
};

// A device that trains networks. Adding one: a file pair, a line in the table in backend.cpp, the contract
// tests.
class Backend {
 public:
  virtual ~Backend() = default;
  [[nodiscard]] virtual std::string_view name() const = 0;
  // Parameters start at zero: call set_parameters. Throws Error(Usage) for a graph the device can't train.
  [[nodiscard]] virtual std::unique_ptr<Network> compile(const graph::Graph& graph,
                                                         const CompileOptions& options) const = 0;
  // Bytes that such a network holds once it has trained on full batches and on one of `last_batch` images (0: none)
  // with masks, and predicted; takes none of them. 0 where a backend cannot tell.
  [[nodiscard]] virtual int64_t memory_bytes(const graph::Graph& /*graph*/, const CompileOptions& /*options*/,
                                             int /*last_batch*/) const {
    return 0;
  }
};

// "cpu": oneDNN and fused kernels, the one to use. "reference": plain loops in double precision, for tests.
const Backend& backend(std::string_view name = "cpu");
std::vector<std::string> backend_names();

}  // namespace retort::engine
