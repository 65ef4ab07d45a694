#include "graph/reference_networks.h"

#include <fmt/ranges.h>

#include <array>
#include <charconv>
#include <optional>

#include "base/error.h"
#include "graph/notebook.h"

namespace retort::graph {

namespace {

constexpr Shape kGrey{32, 32, 1, false};
constexpr int kClasses = 10;

Graph student(const StudentConfig& config) {
  return create_model(student_layers(config, kClasses), kGrey, kClasses);
}

Window square(int kernel, int stride) {
  return {kernel, kernel, stride, stride, Padding::Same};
}

void add_norm_relu(Graph& graph) {
  graph.add(BatchNorm{});
  graph.add(Relu{});
}

void add_conv(Graph& graph, int filters, const Window& window) {
  graph.add(Conv{.filters = filters, .window = window, .bias = Bias::Absent});
  add_norm_relu(graph);
}

void add_separable(Graph& graph, int filters, int stride) {
  graph.add(DepthwiseConv{.window = square(3, stride), .bias = Bias::Absent});
  add_norm_relu(graph);
  add_conv(graph, filters, square(1, 1));
}

// Mean over the whole image by an average pool and a flatten, as MLPerf Tiny's files do it.
void add_pooled_head(Graph& graph, int classes) {
  const Shape shape = graph.node(graph.output()).shape;
  graph.add(AvgPool{{shape.height, shape.width, shape.height, shape.width, Padding::Valid}});
  graph.add(Flatten{});
  graph.add(Dense{.units = classes});
  graph.add(Softmax{});
}

Graph separable(int filters) {
  Graph graph(kGrey);
  add_conv(graph, filters, square(3, 1));
  add_separable(graph, filters, 1);
  add_separable(graph, filters, 2);
  add_separable(graph, 2 * filters, 1);
  add_separable(graph, 2 * filters, 2);
  graph.add(GlobalAvgPool{});
  graph.add(Dense{.units = kClasses});
  graph.add(Softmax{});
  return graph;
}

Graph resnet8() {
  Graph graph({32, 32, 3, false});
  const auto conv = [&](int from, int filters, int kernel, int stride) {
    return graph.add(
        Conv{.filters = filters, .window = square(kernel, stride), .initializer = Initializer::HeUniform},
        {from});
  };
  conv(0, 16, 3, 1);
  add_norm_relu(graph);
  for (const int filters : {16, 32, 64}) {
    const int entry = graph.output();
    const int stride = filters == 16 ? 1 : 2;
    conv(entry, filters, 3, stride);
    add_norm_relu(graph);
    conv(graph.output(), filters, 3, 1);
    const int residual = graph.add(BatchNorm{});
    const int shortcut = stride == 1 ? entry : conv(entry, filters, 1, stride);
    graph.add(Add{}, {shortcut, residual});
    graph.add(Relu{});
  }
  add_pooled_head(graph, 10);
  return graph;
}

Graph dscnn() {
  Graph graph({49, 10, 1, false});
  add_conv(graph, 64, {10, 4, 2, 2, Padding::Same});
  for (int block = 0; block < 4; ++block) add_separable(graph, 64, 1);
  add_pooled_head(graph, 12);
  return graph;
}

Graph mobilenet() {
  Graph graph({96, 96, 3, false});
  add_conv(graph, 8, square(3, 2));
  struct Block {
    int filters;
    int stride;
  };
  for (const auto& [filters, stride] : {Block{16, 1},
                                        {32, 2},
                                        {32, 1},
                                        {64, 2},
                                        {64, 1},
                                        {128, 2},
                                        {128, 1},
                                        {128, 1},
                                        {128, 1},
                                        {128, 1},
                                        {128, 1},
                                        {256, 2},
                                        {256, 1}})
    add_separable(graph, filters, stride);
  add_pooled_head(graph, 2);
  return graph;
}

Graph autoencoder() {
  Graph graph({1, 1, 640, true});
  for (const int units : {128, 128, 128, 128, 8, 128, 128, 128, 128}) {
    graph.add(Dense{.units = units});
    add_norm_relu(graph);
  }
  graph.add(Dense{.units = 640});
  return graph;
}

struct Entry {
  std::string_view name;
  Graph (*make)();
};
constexpr std::array<Entry, 11> kNetworks = {{
    {"s11_16", [] { return student({1, 1, 16, 0, 64}); }},
    {"s21_16", [] { return student({2, 1, 16, 1, 64}); }},
    {"s22_32", [] { return student({2, 2, 32, 1, 128}); }},
    {"s32_64", [] { return student({3, 2, 64, 2, 512}); }},
    {"teacher", [] { return teacher_graph(kGrey, kClasses); }},
    {"ds16", [] { return separable(16); }},
    {"ds32", [] { return separable(32); }},
    {"resnet8", resnet8},
    {"dscnn", dscnn},
    {"mobilenet", mobilenet},
    {"autoencoder", autoencoder},
}};

constexpr int kWidestSeparable = 1024;  // the last block has twice as many

// Takes the number, without sign or leading zero, that `text` begins with.
std::optional<int> take_number(std::string_view& text) {
  int value = 0;
  const auto [end, error] = std::from_chars(text.data(), text.data() + text.size(), value);
  if (error != std::errc{} || text.front() == '-' || (text.front() == '0' && end != text.data() + 1))
    return std::nullopt;
  text.remove_prefix(static_cast<size_t>(end - text.data()));
  return value;
}

bool take(std::string_view& text, std::string_view beginning) {
  if (!text.starts_with(beginning)) return false;
  text.remove_prefix(beginning.size());
  return true;
}

// What student_name writes, and "s21_WIDTH", s21_16's relatives.
std::optional<StudentConfig> read_student(std::string_view name) {
  if (!take(name, "s") || name.size() < 2 || name[0] < '1' || name[0] > '9' || name[1] < '1' || name[1] > '9')
    return std::nullopt;
  StudentConfig config{.blocks = name[0] - '0', .layers = name[1] - '0'};
  name.remove_prefix(2);
  const auto filters = take(name, "_") ? take_number(name) : std::nullopt;
  if (!filters) return std::nullopt;
  config.filters = *filters;
  if (name.empty()) {
    if (config.blocks != 2 || config.layers != 1) return std::nullopt;
    config.dense_layers = 1;
    return config;
  }
  const auto dense = take(name, "_") ? take_number(name) : std::nullopt;
  if (!dense) return std::nullopt;
  config.dense_layers = *dense;
  if (*dense > 0) {
    const auto units = take(name, "x") ? take_number(name) : std::nullopt;
    if (!units) return std::nullopt;
    config.dense_units = *units;
  }
  if (!name.empty()) return std::nullopt;
  return config;
}

std::optional<Graph> read_separable(std::string_view name) {
  if (!take(name, "ds")) return std::nullopt;
  const auto filters = take_number(name);
  if (!filters || !name.empty() || *filters < 1 || *filters > kWidestSeparable) return std::nullopt;
  return separable(*filters);
}

std::vector<std::string> notebook_names() {
  std::vector<std::string> names;
  for (const int blocks : {1, 2, 3})
    for (const int layers : {1, 2})
      for (const int filters : {16, 32, 64}) {
        names.push_back(student_name({blocks, layers, filters, 0}));
        for (const int dense : {1, 2})
          for (const int units : {64, 128, 256, 512})
            names.push_back(student_name({blocks, layers, filters, dense, units}));
      }
  return names;
}

std::vector<std::string> width_names() {
  std::vector<std::string> names;
  for (const std::string_view family : {"s21_", "ds"})
    for (const int width : {5, 8, 12, 16, 20, 24, 27, 32})
      names.push_back(fmt::format("{}{}", family, width));
  return names;
}

}  // namespace

std::string student_name(const StudentConfig& config) {
  std::string name =
      fmt::format("s{}{}_{}_{}", config.blocks, config.layers, config.filters, config.dense_layers);
  if (config.dense_layers > 0) name += fmt::format("x{}", config.dense_units);
  return name;
}

std::vector<std::string> network_group(std::string_view name) {
  if (name == "reference") return reference_network_names();
  if (name == "notebook") return notebook_names();
  if (name == "widths") return width_names();
  return {};
}

std::vector<std::string> reference_network_names() {
  std::vector<std::string> names;
  names.reserve(kNetworks.size());
  for (const Entry& entry : kNetworks) names.emplace_back(entry.name);
  return names;
}

Graph reference_network(std::string_view name) {
  for (const Entry& entry : kNetworks)
    if (entry.name == name) return entry.make();
  if (const auto config = read_student(name)) return student(*config);
  if (auto graph = read_separable(name)) return *std::move(graph);
  throw_usage(
      "there is no reference network \"{}\"; the names are {}, a student like s21_16_1x64 (2 blocks, 1 "
      "layer, 16 filters, 1 dense of 64 units) or s32_64_0, s21_WIDTH and dsWIDTH",
      name, fmt::join(reference_network_names(), ", "));
}

}  // namespace retort::graph
