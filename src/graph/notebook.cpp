#include "graph/notebook.h"

#include <array>

#include "base/error.h"
#include "graph/layer_names.h"

namespace retort::graph {

namespace {

constexpr std::array<std::string_view, 5> kLayerNames = {"Conv2D", "Dense", "Flatten", "MaxPool2D",
                                                         "GlobalAveragePooling2D"};

bool has_value(LayerKind kind) {
  return kind == LayerKind::Conv2D || kind == LayerKind::Dense;
}

void add_dense(Graph& graph, int units, Initializer initializer) {
  graph.add(Dense{.units = units, .initializer = initializer});
}

void add_layer(Graph& graph, const Layer& layer) {
  const bool flat = graph.node(graph.output()).shape.flat;
  switch (layer.kind) {
    case LayerKind::Conv2D:
      if (flat) return;
      graph.add(Conv{.filters = layer.value});
      graph.add(Relu{});
      return;
    case LayerKind::Dense:
      if (!flat) graph.add(Flatten{});
      add_dense(graph, layer.value, Initializer::GlorotUniform);
      graph.add(Relu{});
      return;
    case LayerKind::Flatten:
      if (!flat) graph.add(Flatten{});
      return;
    case LayerKind::MaxPool2D:
      if (!flat) graph.add(MaxPool{});
      return;
    case LayerKind::GlobalAveragePooling2D:
      if (!flat) graph.add(GlobalAvgPool{});
      return;
  }
}

}  // namespace

std::string_view layer_name(LayerKind kind) {
  return kLayerNames.at(static_cast<size_t>(kind));
}

Layer make_layer(std::string_view name, std::optional<int> value) {
  for (size_t i = 0; i < kLayerNames.size(); ++i) {
    if (kLayerNames[i] != name) continue;
    const auto kind = static_cast<LayerKind>(i);
    if (has_value(kind) && !value)
      throw_usage("layer {} needs a number of {}", name, kind == LayerKind::Conv2D ? "filters" : "units");
    if (!has_value(kind) && value) throw_usage("layer {} takes no number, but it has {}", name, *value);
    return {kind, value.value_or(0)};
  }
  throw_usage(
      "\"{}\" is not a layer; the layers are Conv2D, Dense, Flatten, MaxPool2D and GlobalAveragePooling2D",
      name);
}

Graph create_model(const std::vector<Layer>& layers, Shape input, int classes) {
  if (layers.empty())
    throw_usage("the list of layers is empty; it needs at least the last layer, ('Dense', {})", classes);
  Graph graph(input);
  for (size_t i = 0; i + 1 < layers.size(); ++i) {
    try {
      add_layer(graph, layers[i]);
    } catch (const Error& error) {
      throw_usage("layer {} ({}): {}", i + 1, layer_name(layers[i].kind), error.what());
    }
  }
  if (!graph.node(graph.output()).shape.flat) graph.add(Flatten{});
  add_dense(graph, classes, Initializer::GlorotUniform);
  graph.add(Softmax{});
  return graph;
}

std::vector<Layer> student_layers(const StudentConfig& config, int classes) {
  const auto check = [](std::string_view what, int value, int least, int most) {
    if (value < least || value > most)
      throw_usage("{} {} asked for; it must be {} to {}", value, what, least, most);
  };
  check("blocks", config.blocks, 1, 16);
  check("layers a block", config.layers, 1, 100);
  check("filters", config.filters, 1, kMaximumDimension);
  check("dense layers", config.dense_layers, 0, 100);
  check("units", config.dense_units, 1, kMaximumDimension);
  if (int64_t{config.filters} << (config.blocks - 1) > kMaximumDimension)
    throw_usage("{} filters doubled over {} blocks are more than {}", config.filters, config.blocks,
                kMaximumDimension);
  std::vector<Layer> layers;
  int filters = config.filters;
  for (int block = 0; block < config.blocks; ++block, filters *= 2) {
    layers.insert(layers.end(), static_cast<size_t>(config.layers), Layer{LayerKind::Conv2D, filters});
    layers.push_back({LayerKind::MaxPool2D, 0});
  }
  layers.push_back({LayerKind::GlobalAveragePooling2D, 0});
  layers.insert(layers.end(), static_cast<size_t>(config.dense_layers),
                Layer{LayerKind::Dense, config.dense_units});
  layers.push_back({LayerKind::Dense, classes});
  return layers;
}

std::string to_string(const StudentConfig& config) {
  const auto plural = [](int count) { return count == 1 ? "" : "s"; };
  std::string text = fmt::format("{} block{}, {} layer{}, {} filter{}, {} dense", config.blocks,
                                 plural(config.blocks), config.layers, plural(config.layers), config.filters,
                                 plural(config.filters), config.dense_layers);
  if (config.dense_layers > 0)
    text += fmt::format(", {} unit{}", config.dense_units, plural(config.dense_units));
  return text;
}

std::string to_string(const std::vector<Layer>& layers) {
  std::string text = "[";
  for (const Layer& layer : layers) {
    if (text.size() > 1) text += ", ";
    text += fmt::format("('{}', {})", layer_name(layer.kind),
                        has_value(layer.kind) ? std::to_string(layer.value) : "None");
  }
  return text + "]";
}

Graph teacher_graph(Shape input, int classes) {
  Graph graph(input);
  struct Stage {
    int filters;
    float dropout;
  };
  for (const auto& [filters, dropout] : {Stage{32, 0.2F}, Stage{64, 0.3F}, Stage{128, 0.4F}}) {
    for (int layer = 0; layer < 2; ++layer) {
      graph.add(Conv{.filters = filters, .initializer = Initializer::HeUniform});
      graph.add(Relu{});
      graph.add(BatchNorm{});
    }
    graph.add(MaxPool{});
    graph.add(Dropout{dropout});
  }
  graph.add(Flatten{});
  for (const int units : {512, 256, 128}) {
    add_dense(graph, units, Initializer::HeUniform);
    graph.add(Relu{});
  }
  graph.add(Dropout{0.5F});
  add_dense(graph, classes, Initializer::GlorotUniform);
  graph.add(Softmax{});
  return graph;
}

}  // namespace retort::graph
