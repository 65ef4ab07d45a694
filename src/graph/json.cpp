#include <algorithm>
#include <charconv>
#include <initializer_list>

#include "base/error.h"
#include "base/json.h"
#include "graph/attributes.h"
#include "graph/graph.h"

namespace retort::graph {

namespace {

constexpr std::string_view kFormat = "retort-graph";
constexpr int kVersion = 1;
constexpr int kMaximumDepth = 16;

// The double that prints as the float does: 0.2 instead of 0.20000000298023224. It reads back to the same
// float.
double shortest(float value) {
  const std::string text = fmt::format("{}", value);
  double result = 0;
  std::from_chars(text.data(), text.data() + text.size(), result);  // whatever the locale
  return result;
}

// A value as messages show it: long ones cut.
std::string shown(const Json& value) {
  constexpr size_t kLongest = 40;
  std::string text = value.dump(-1, ' ', true);
  if (text.size() > kLongest) text = text.substr(0, kLongest) + "…";
  return text;
}

void write_window(OrderedJson& json, const Window& window) {
  json["kernel"] = {window.kernel_height, window.kernel_width};
  json["strides"] = {window.stride_height, window.stride_width};
  json["padding"] = window.padding == Padding::Same ? "same" : "valid";
}

template <typename Layer>
void write_kernel_traits(OrderedJson& json, const Layer& layer) {
  json["bias"] = layer.bias == Bias::Present;
  json["initializer"] = layer.initializer == Initializer::GlorotUniform ? "glorot_uniform" : "he_uniform";
  if (layer.grid == WeightGrid::Int8) json["grid"] = "int8";
}

struct Writer {
  OrderedJson& json;
  void operator()(const Conv& op) const {
    json["filters"] = op.filters;
    write_window(json, op.window);
    write_kernel_traits(json, op);
  }
  void operator()(const DepthwiseConv& op) const {
    write_window(json, op.window);
    write_kernel_traits(json, op);
  }
  void operator()(const Dense& op) const {
    json["units"] = op.units;
    write_kernel_traits(json, op);
  }
  void operator()(const BatchNorm& op) const {
    json["momentum"] = shortest(op.momentum);
    json["epsilon"] = shortest(op.epsilon);
  }
  void operator()(const MaxPool& op) const { write_window(json, op.window); }
  void operator()(const AvgPool& op) const { write_window(json, op.window); }
  void operator()(const Dropout& op) const { json["rate"] = shortest(op.rate); }
  void operator()(const FakeQuant& op) const { json["momentum"] = shortest(op.momentum); }
  template <typename Plain>
  void operator()(const Plain& /*op*/) const {}
};

// One node's JSON, with every complaint naming the node and field, and a record of the fields that were asked
// for.
class Fields {
 public:
  Fields(const Json& json, size_t node) : json_(json), node_(node) {
    if (!json.is_object()) throw_usage("node {}: it must be an object", node);
  }

  template <typename... Args>
  [[noreturn]] void fail(std::string_view field, fmt::format_string<Args...> format, Args&&... args) const {
    throw_usage("node {}, field \"{}\": {}", node_, field, fmt::format(format, std::forward<Args>(args)...));
  }

  const Json* find(const char* field) {
    asked_.emplace_back(field);
    const auto found = json_.find(field);
    return found == json_.end() ? nullptr : &*found;
  }
  const Json& need(const char* field) {
    const Json* value = find(field);
    if (value == nullptr) fail(field, "it is missing");
    return *value;
  }

  int integer(const char* field, const Json& value) const {
    if (!value.is_number_integer()) fail(field, "{} is not a whole number", shown(value));
    // An unsigned value beyond int64 must not wrap into range.
    if (value.is_number_unsigned() && value.get<uint64_t>() > static_cast<uint64_t>(kMaximumDimension))
      fail(field, "{} is too large; at most {} is allowed", shown(value), kMaximumDimension);
    const auto number = value.get<int64_t>();
    if (number < 0) fail(field, "{} is negative", number);
    return static_cast<int>(number);
  }
  int integer(const char* field) { return integer(field, need(field)); }
  float number(const char* field, float otherwise) {
    const Json* value = find(field);
    if (value == nullptr) return otherwise;
    if (!value->is_number()) fail(field, "{} is not a number", shown(*value));
    return value->get<float>();
  }
  bool flag(const char* field, bool otherwise) {
    const Json* value = find(field);
    if (value == nullptr) return otherwise;
    if (!value->is_boolean()) fail(field, "{} is neither true nor false", shown(*value));
    return value->get<bool>();
  }
  // Whether the field says `second`; when it is missing, `otherwise` decides.
  bool says(const char* field, std::string_view first, std::string_view second, bool otherwise) {
    const Json* value = find(field);
    if (value == nullptr) return otherwise;
    if (value->is_string() && value->get_ref<const std::string&>() == first) return false;
    if (value->is_string() && value->get_ref<const std::string&>() == second) return true;
    fail(field, "{} is neither \"{}\" nor \"{}\"", shown(*value), first, second);
  }
  void pair(const char* field, int& first, int& second) {
    const Json* value = find(field);
    if (value == nullptr) return;
    if (!value->is_array()) {
      first = second = integer(field, *value);
      return;
    }
    if (value->size() != 2) fail(field, "it has {} numbers; it must be [height, width]", value->size());
    first = integer(field, (*value)[0]);
    second = integer(field, (*value)[1]);
  }

  void refuse_unknown() const {
    for (const auto& [field, value] : json_.items())
      if (std::find(asked_.begin(), asked_.end(), field) == asked_.end())
        fail(field, "{} has no such field", shown(json_.at("op")));
  }

 private:
  const Json& json_;
  size_t node_;
  std::vector<std::string> asked_;
};

Window read_window(Fields& fields, Window window) {
  fields.pair("kernel", window.kernel_height, window.kernel_width);
  fields.pair("strides", window.stride_height, window.stride_width);
  window.padding = fields.says("padding", "same", "valid", window.padding == Padding::Valid) ? Padding::Valid
                                                                                             : Padding::Same;
  return window;
}

template <typename Layer>
void read_kernel_traits(Fields& fields, Layer& layer) {
  layer.bias = fields.flag("bias", true) ? Bias::Present : Bias::Absent;
  layer.initializer = fields.says("initializer", "glorot_uniform", "he_uniform", false)
                          ? Initializer::HeUniform
                          : Initializer::GlorotUniform;
  layer.grid = fields.says("grid", "float", "int8", false) ? WeightGrid::Int8 : WeightGrid::Float;
}

struct Reader {
  Fields& fields;
  void operator()(Conv& op) const {
    op.filters = fields.integer("filters");
    op.window = read_window(fields, op.window);
    read_kernel_traits(fields, op);
  }
  void operator()(DepthwiseConv& op) const {
    op.window = read_window(fields, op.window);
    read_kernel_traits(fields, op);
  }
  void operator()(Dense& op) const {
    op.units = fields.integer("units");
    read_kernel_traits(fields, op);
  }
  void operator()(BatchNorm& op) const {
    op.momentum = fields.number("momentum", op.momentum);
    op.epsilon = fields.number("epsilon", op.epsilon);
  }
  void operator()(MaxPool& op) const { op.window = read_window(fields, op.window); }
  void operator()(AvgPool& op) const { op.window = read_window(fields, op.window); }
  void operator()(Dropout& op) const { op.rate = fields.number("rate", op.rate); }
  void operator()(FakeQuant& op) const { op.momentum = fields.number("momentum", op.momentum); }
  template <typename Plain>
  void operator()(Plain& /*op*/) const {}
};

template <size_t... Index>
std::vector<Operator> default_operators(std::index_sequence<Index...> /*all*/) {
  return {Operator(std::in_place_index<Index>)...};
}

Operator operator_named(const std::string& name, const Fields& fields) {
  static const std::vector<Operator> all =
      default_operators(std::make_index_sequence<std::variant_size_v<Operator>>{});
  std::string names;
  for (const Operator& op : all) {
    if (operator_name(op) == name) return op;
    names += fmt::format("{}{}", names.empty() ? "" : ", ", operator_name(op));
  }
  fields.fail("op", "\"{}\" is not an operator; the operators are {}", name, names);
}

Shape read_input_shape(Fields& fields) {
  const Json& value = fields.need("shape");
  if (!value.is_array() || (value.size() != 3 && value.size() != 1))
    fields.fail("shape", "it must be [height, width, channels] or [channels]");
  std::vector<int> dims;
  for (const Json& dim : value) dims.push_back(fields.integer("shape", dim));
  if (dims.size() == 1) return {1, 1, dims[0], true};
  return {dims[0], dims[1], dims[2], false};
}

std::vector<int> read_inputs(Fields& fields, int previous) {
  const Json* value = fields.find("inputs");
  if (value == nullptr) return {previous};
  if (!value->is_array()) fields.fail("inputs", "it must be a list of node numbers");
  std::vector<int> inputs;
  for (const Json& input : *value) inputs.push_back(fields.integer("inputs", input));
  return inputs;
}

void read_node(Graph& graph, const Json& json, size_t index) {
  Fields fields(json, index);
  const Json& name = fields.need("op");
  if (!name.is_string()) fields.fail("op", "{} is not an operator's name", shown(name));
  Operator op = operator_named(name.get<std::string>(), fields);
  if ((index == 0) != std::holds_alternative<Input>(op)) {
    if (index == 0) fields.fail("op", "the first node must be \"input\", not {}", shown(name));
    fields.fail("op", "only the first node is an input");
  }
  if (index == 0) {
    const Shape shape = read_input_shape(fields);
    fields.refuse_unknown();
    try {
      graph = Graph(shape);
    } catch (const Error& error) {
      fields.fail("shape", "{}", error.what());
    }
    return;
  }
  std::visit(Reader{fields}, op);
  std::vector<int> inputs = read_inputs(fields, graph.output());
  fields.refuse_unknown();
  try {
    graph.add(op, std::move(inputs));
  } catch (const Error& error) {
    throw_usage("node {} ({}): {}", index, operator_name(op), error.what());
  }
}

OrderedJson node_json(const Node& node) {
  OrderedJson json;
  json["op"] = std::string(operator_name(node.op));
  if (std::holds_alternative<Input>(node.op)) {
    if (node.shape.flat)
      json["shape"] = std::vector<int>{node.shape.channels};
    else
      json["shape"] = {node.shape.height, node.shape.width, node.shape.channels};
  } else {
    json["inputs"] = node.inputs;
  }
  std::visit(Writer{json}, node.op);
  return json;
}

Json parse_limited(std::string_view text) {
  try {
    return Json::parse(text, limit_json_depth("the JSON graph", kMaximumDepth));
  } catch (const Json::exception& error) {
    throw_usage("this is not a JSON graph: {}", error.what());
  }
}

}  // namespace

std::string node_attributes(const Node& node) {
  OrderedJson json = node_json(node);
  json.erase("inputs");
  return dump_json(json);
}

std::string graph_to_json(const Graph& graph) {
  // One node a line: readable, and short in a diff.
  std::string text = fmt::format("{{\"format\":\"{}\",\"version\":{},\"nodes\":[", kFormat, kVersion);
  std::string_view separator = "\n ";
  for (const Node& node : graph.nodes()) {
    text += fmt::format("{}{}", separator, dump_json(node_json(node)));
    separator = ",\n ";
  }
  return text + "\n]}\n";
}

Graph graph_from_json(std::string_view text) {
  const Json json = parse_limited(text);
  if (!json.is_object() || json.value("format", Json()) != Json(kFormat))
    throw_usage("this is not a JSON graph; it must begin with {{\"format\":\"{}\",\"version\":{},…}}",
                kFormat, kVersion);
  if (json.value("version", Json()) != Json(kVersion))
    throw_usage("the JSON graph has version {}; this program reads version {}",
                shown(json.value("version", Json())), kVersion);
  for (const auto& [field, value] : json.items())
    if (field != "format" && field != "version" && field != "nodes")
      throw_usage("the JSON graph has no field \"{}\"; its fields are format, version and nodes", field);
  const auto nodes = json.find("nodes");
  if (nodes == json.end() || !nodes->is_array() || nodes->empty())
    throw_usage("the JSON graph needs a list \"nodes\" with at least an input");
  if (nodes->size() > static_cast<size_t>(kMaximumNodes))
    throw_usage("the JSON graph has {} nodes; at most {} are allowed", nodes->size(), kMaximumNodes);
  Graph graph;
  for (size_t i = 0; i < nodes->size(); ++i) read_node(graph, (*nodes)[i], i);
  return graph;
}

}  // namespace retort::graph
