#include "graph/random_graph.h"

#include <algorithm>

namespace retort::graph {

namespace {

class Generator {
 public:
  Generator(Rng& rng, const RandomGraphOptions& options)
      : rng_(rng), options_(options), graph_(input_shape()) {}

  Graph make() {
    if (!shape().flat) {
      const int stages = between(1, options_.maximum_stages);
      for (int i = 0; i < stages; ++i) stage();
      head();
    }
    const int hidden = between(0, 2);
    for (int i = 0; i < hidden; ++i) hidden_dense();
    affine_before_dense();
    graph_.add(Dense{between(2, std::max(2, options_.maximum_classes)), bias(), initializer()});
    if (!chance(6)) graph_.add(Softmax{});
    return std::move(graph_);
  }

 private:
  [[nodiscard]] Shape shape() const { return graph_.node(graph_.output()).shape; }

  int between(int low, int high) {
    return low + static_cast<int>(rng_.below(static_cast<uint32_t>(high - low + 1)));
  }
  // True once in `n` draws.
  bool chance(uint32_t n) { return rng_.below(n) == 0; }
  Bias bias() { return chance(3) ? Bias::Absent : Bias::Present; }
  Initializer initializer() { return chance(2) ? Initializer::GlorotUniform : Initializer::HeUniform; }

  Shape input_shape() {
    const int channels = between(1, options_.maximum_input_channels);
    if (chance(12)) return {1, 1, between(2, 4 * options_.maximum_side), true};
    return {between(options_.minimum_side, options_.maximum_side),
            between(options_.minimum_side, options_.maximum_side), channels, false};
  }

  // A window that fits the present shape; strides above 1 only while there is something left to halve.
  Window window(int largest_kernel, int largest_stride) {
    const Shape in = shape();
    Window result;
    result.padding = chance(3) ? Padding::Valid : Padding::Same;
    result.kernel_height = between(1, largest_kernel);
    result.kernel_width = chance(3) ? between(1, largest_kernel) : result.kernel_height;
    result.stride_height = in.height >= 4 ? between(1, largest_stride) : 1;
    result.stride_width =
        chance(3) && in.width >= 4 ? between(1, largest_stride) : std::min(result.stride_height, in.width);
    if (result.padding == Padding::Valid) {
      result.kernel_height = std::min(result.kernel_height, in.height);
      result.kernel_width = std::min(result.kernel_width, in.width);
    }
    return result;
  }

  // Norm and activation in any order, either possibly missing, now and then doubled.
  void norm_and_activation() {
    const uint32_t order = rng_.below(6);
    if (order <= 1) batch_norm();
    if (order != 5) activation();
    if (order == 2) batch_norm();
    if (chance(12)) activation();
    if (chance(12)) batch_norm();
  }
  void activation() {
    if (chance(3))
      graph_.add(Relu6{});
    else
      graph_.add(Relu{});
  }
  void batch_norm() {
    if (options_.training_layers == TrainingLayers::Present) graph_.add(BatchNorm{});
  }
  void dropout() {
    if (options_.training_layers == TrainingLayers::Present)
      graph_.add(Dropout{0.1F * static_cast<float>(between(1, 5))});
  }

  void conv() {
    graph_.add(Conv{between(1, options_.maximum_channels), window(4, 2), bias(), initializer()});
  }
  void depthwise() { graph_.add(DepthwiseConv{window(4, 2), bias(), initializer()}); }

  void stage() {
    switch (rng_.below(8)) {
      case 0:
      case 1:
      case 2:
        conv();
        break;
      case 3:
      case 4:
        depthwise();
        break;
      case 5: {
        const Window pool = window(3, 2);
        if (chance(2))
          graph_.add(MaxPool{pool});
        else
          graph_.add(AvgPool{pool});
        if (chance(4)) norm_and_activation();
        return;
      }
      default:
        residual();
        break;
    }
    norm_and_activation();
    if (chance(8)) dropout();
  }

  // x + f(x), where f keeps the shape; now and then both sides are convs, or the sum is x + x.
  void residual() {
    const int entry = graph_.output();
    const Shape in = shape();
    int side = entry;
    if (!chance(8)) {
      graph_.add(
          Conv{in.channels, {between(1, 3), between(1, 3), 1, 1, Padding::Same}, bias(), initializer()});
      norm_and_activation();
      side = graph_.output();
    }
    int shortcut = entry;
    if (chance(3)) {
      shortcut = graph_.add(Conv{in.channels, {1, 1, 1, 1, Padding::Valid}, bias(), initializer()}, {entry});
      if (chance(2)) batch_norm();
      shortcut = graph_.output();
    }
    graph_.add(Add{}, chance(2) ? std::vector<int>{shortcut, side} : std::vector<int>{side, shortcut});
  }

  void head() {
    const Shape in = shape();
    if (chance(2) || in.size() > 1024) {
      graph_.add(GlobalAvgPool{});
    } else {
      graph_.add(Flatten{});
    }
    if (chance(6)) dropout();
  }

  void hidden_dense() {
    affine_before_dense();
    const int before = graph_.add(Dense{between(1, options_.maximum_channels), bias(), initializer()});
    if (chance(4)) batch_norm();
    activation();
    // A flat sum: two dense layers side by side.
    if (chance(5)) {
      const int one = graph_.output();
      graph_.add(Dense{shape().channels, bias(), initializer()}, {graph_.node(before).inputs.front()});
      const int other = graph_.output();
      graph_.add(Add{}, {one, other});
    }
    if (chance(5)) dropout();
  }

  // A flat batch norm that only the next dense layer reads.
  void affine_before_dense() {
    if (chance(6)) batch_norm();
  }

  Rng& rng_;
  const RandomGraphOptions& options_;
  Graph graph_;
};

}  // namespace

Graph random_graph(Rng& rng, const RandomGraphOptions& options) {
  return Generator(rng, options).make();
}

}  // namespace retort::graph
