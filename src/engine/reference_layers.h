// Layers in plain loops and double precision: what every faster kernel is tested against. Simple on purpose.
//
// Activations are count × height × width × channels, kernels are in graph::Parameters' canonical layout.
// Gradients are added to what their spans hold, since several readers of one tensor contribute to it.
#pragma once

#include <cstddef>
#include <cstdint>
#include <span>
#include <vector>

#include "engine/network.h"
#include "graph/graph.h"

namespace retort::engine::reference {

using Values = std::vector<double>;
using View = std::span<const double>;
using Sink = std::span<double>;

// A window that slides over `count` images.
struct Sliding {
  graph::Window window;
  graph::Shape in;
  graph::Shape out;
  size_t count = 0;
};

void conv_forward(const Sliding& sliding, View x, View kernel, Sink y);
void conv_backward(const Sliding& sliding, View x, View kernel, View dy, Sink dx, Sink dkernel);

void depthwise_forward(const Sliding& sliding, View x, View kernel, Sink y);
void depthwise_backward(const Sliding& sliding, View x, View kernel, View dy, Sink dx, Sink dkernel);

void bias_forward(View bias, Sink y);
void bias_backward(View dy, Sink dbias);

// `winners` receives the index into x that each output took: the first of equal ones.
void max_pool_forward(const Sliding& sliding, View x, Sink y, std::vector<size_t>& winners);
// The mean over the cells that lie inside the image.
void average_pool_forward(const Sliding& sliding, View x, Sink y);
void average_pool_backward(const Sliding& sliding, View dy, Sink dx);

struct Moments {
  Values mean;
  Values variance;  // biased: divided by the number of values
};
Moments channel_moments(View x, size_t channels);
void normalize_forward(const Moments& moments, double epsilon, View gamma, View beta, View x, Sink y);
// Gradient when the moments are those of x itself.
void normalize_backward(const Moments& moments, double epsilon, View gamma, View x, View dy, Sink dx,
                        Sink dgamma, Sink dbeta);

void softmax_forward(size_t channels, View x, Sink y);
void softmax_backward(size_t channels, View y, View dy, Sink dx);

// Rounds a kernel to symmetric int8 grids, one an output channel. `channel_of` maps an index to its channel.
enum class ChannelAxis { First, Last };
void round_kernel(ChannelAxis axis, size_t channels, Sink kernel);

// Loss of network.h's Objective, mean over the batch, and its gradient with respect to the logits.
StepResult loss(const Objective& objective, size_t classes, View logits, const Batch& batch, Sink gradient);

}  // namespace retort::engine::reference
