#include "engine/work.h"

#include <variant>

#include "engine/onednn/onednn.h"

namespace retort::engine {
namespace {

constexpr int kShort = 8;
constexpr int kLong = 16;

// What a multiplication in blocks of 8 costs beside one in blocks of 16: measured on a Zen 4 core, see
// docs/performance.md.
constexpr double kShortMac = 1.4;
// A multiplication in bfloat16, which only blocks of 16 have, where it pays.
constexpr double kBfloat16Mac = 0.7;
// Reading and writing a value, in multiplications.
constexpr double kActivation = 6;

Work work_in(const graph::Graph& graph, int block) {
  const auto padding = [block](int channels) {
    return static_cast<double>((channels + block - 1) / block * block) / channels;
  };
  Work work;
  for (int i = 1; i < graph.size(); ++i) {
    const graph::Node& node = graph.node(i);
    const int inputs = graph.node(node.inputs.front()).shape.channels;
    // Kernels of their own take the image's channels as they are.
    const bool mixes_channels = std::holds_alternative<graph::Conv>(node.op) && node.inputs.front() != 0;
    const double of_output = node.shape.flat ? 1 : padding(node.shape.channels);
    work.macs +=
        static_cast<double>(graph::node_macs(graph, i)) * of_output * (mixes_channels ? padding(inputs) : 1);
    work.activations += static_cast<double>(node.shape.size()) * of_output;
  }
  return work;
}

double cost(const Work& work) {
  return work.macs + kActivation * work.activations;
}

struct Choice {
  int block = kShort;
  Work work;
};
Choice choose(const graph::Graph& graph, Precision precision) {
  Choice in_short{kShort, work_in(graph, kShort)};
  if (onednn::channel_block() < kLong) return in_short;
  in_short.work.macs *= kShortMac;
  Choice in_long{kLong, work_in(graph, kLong)};
  if (precision == Precision::Bfloat16 && onednn::multiplies_bfloat16()) in_long.work.macs *= kBfloat16Mac;
  return cost(in_short.work) < cost(in_long.work) ? in_short : in_long;
}

}  // namespace

int choose_block(const graph::Graph& graph, Precision precision) {
  return choose(graph, precision).block;
}

Work work_of(const graph::Graph& graph, Precision precision) {
  return choose(graph, precision).work;
}

}  // namespace retort::engine
