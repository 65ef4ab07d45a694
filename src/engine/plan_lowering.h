// A graph as the operations that the CPU runs: activations fused into what makes them, views without work of
// their own dissolved, and for each tensor its shape in memory.
#pragma once

#include <cstdint>
#include <vector>

#include "engine/kernels/kernels.h"
#include "graph/graph.h"

namespace retort::engine {

enum class PlanMode { Training, Inference };

enum class OperationKind {
  Convert,        // the images' bytes to floats
  FirstConv,      // the first convolution, on few channels
  FirstConvPool,  // the same with its 2×2 max pool
  Conv,
  Depthwise,
  Dense,
  BatchNorm,
  Activation,
  MaxPool,
  AvgPool,
  GlobalAvgPool,
  Add,
  Dropout,
  FakeQuant,
  Rows,  // a Flatten whose reader needs the canonical order
};

struct LoweredOperation {
  OperationKind kind = OperationKind::Convert;
  int node = 0;             // its attributes and parameters
  int output = 0;           // the node whose values it writes: `node`, or the last one fused into it
  std::vector<int> inputs;  // nodes whose values it reads (outputs of earlier operations)
  // Applied at the end of the forward pass.
  kernels::Activation activation = kernels::Activation::None;
  // The activation whose mask backward must apply to the gradient that comes in: `activation`, unless the
  // reader has done so on its way (batch norm's own kernels always do it themselves).
  kernels::Activation own_mask = kernels::Activation::None;
  // The activation of the input's maker, whose mask this operation applies to the gradient that it hands
  // back.
  kernels::Activation input_mask = kernels::Activation::None;
};

struct LoweredGraph {
  int block = 8;
  // The network's input: planar with its convolution's border, or blocked.
  bool planar_input = false;
  kernels::PlanarShape planar;               // of one image; its number of images is to be set
  std::vector<LoweredOperation> operations;  // in order of execution
  int logits = 0;                            // the node that holds them; its values are in canonical order
  // For each node, the one whose memory holds its values: itself, or what a dissolved node reads.
  std::vector<int> home;
  // For each flat node whose features lie as a dissolved Flatten found them: the spatial node; else −1.
  std::vector<int> spatial_order;
};

LoweredGraph lower(const graph::Graph& graph, int block, PlanMode mode);

// Shape in memory of a node's values for `images` images. Flat tensors count every feature as a channel.
kernels::BlockedShape memory_shape(const graph::Graph& graph, const LoweredGraph& lowered, int node,
                                   int images);
// The place in memory of each channel (a flat tensor: of each feature) among memory_shape().channels().
std::vector<uint32_t> channel_places(const graph::Graph& graph, const LoweredGraph& lowered, int node);

kernels::Window2d memory_window(const graph::Window& window, graph::Shape input);

}  // namespace retort::engine
