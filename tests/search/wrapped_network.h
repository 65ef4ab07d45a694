// A network that passes everything on, for tests that change one thing.
#pragma once

#include <memory>
#include <string>
#include <utility>
#include <vector>

#include "engine/network.h"

namespace retort::search {

class WrappedNetwork : public engine::Network {
 public:
  explicit WrappedNetwork(std::unique_ptr<engine::Network> network) : network_(std::move(network)) {}
  [[nodiscard]] const graph::Graph& graph() const override { return network_->graph(); }
  void set_parameters(const graph::Parameters& parameters) override { network_->set_parameters(parameters); }
  [[nodiscard]] graph::Parameters parameters() const override { return network_->parameters(); }
  void set_masks(const graph::Parameters& masks) override { network_->set_masks(masks); }
  [[nodiscard]] graph::Parameters masks() const override { return network_->masks(); }
  void set_optimizer_state(const engine::OptimizerState& state) override {
    network_->set_optimizer_state(state);
  }
  [[nodiscard]] engine::OptimizerState optimizer_state() const override {
    return network_->optimizer_state();
  }
  engine::StepResult compute_gradients(const engine::Batch& batch, const engine::Objective& objective,
                                       Rng& rng) override {
    return network_->compute_gradients(batch, objective, rng);
  }
  [[nodiscard]] graph::Parameters gradients() const override { return network_->gradients(); }
  bool apply_gradients(float rate) override { return network_->apply_gradients(rate); }
  int first_output_not_finite(const engine::Batch& batch, const engine::Objective& objective,
                              Rng rng) override {
    return network_->first_output_not_finite(batch, objective, rng);
  }
  void predict(std::span<const uint8_t> images, std::span<float> logits) override {
    network_->predict(images, logits);
  }
  [[nodiscard]] int64_t memory_bytes() const override { return network_->memory_bytes(); }
  [[nodiscard]] std::vector<std::string> describe_plan() const override { return network_->describe_plan(); }

 private:
  std::unique_ptr<engine::Network> network_;
};

}  // namespace retort::search
