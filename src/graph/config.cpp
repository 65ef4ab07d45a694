// What a person gives with --config.
#include <cctype>
#include <charconv>
#include <map>
#include <optional>

#include "base/error.h"
#include "base/file.h"
#include "base/json.h"
#include "graph/layer_names.h"
#include "graph/micro.h"
#include "graph/notebook.h"

namespace retort::graph {

namespace {

constexpr std::string_view kExample = "a right one is \"3 blocks, 2 layers, 32 filters, 1 dense, 128 units\"";

// Splits into words, numbers and single punctuation marks. Commas and spaces separate.
class Scanner {
 public:
  explicit Scanner(std::string_view text) : text_(text) {}

  [[noreturn]] void fail(std::string_view problem) const {
    throw_usage("configuration \"{}\", character {}: {}; {}", text_, position_ + 1, problem, kExample);
  }
  void skip_space() {
    while (position_ < text_.size() && std::isspace(static_cast<unsigned char>(text_[position_])) != 0)
      ++position_;
  }
  bool at_end() {
    skip_space();
    return position_ == text_.size();
  }
  bool take(char wanted) {
    skip_space();
    if (position_ == text_.size() || text_[position_] != wanted) return false;
    ++position_;
    return true;
  }
  void need(char wanted) {
    if (!take(wanted)) fail(fmt::format("'{}' is missing", wanted));
  }
  std::string_view word() {
    skip_space();
    const size_t start = position_;
    while (position_ < text_.size() &&
           (std::isalnum(static_cast<unsigned char>(text_[position_])) != 0 || text_[position_] == '_'))
      ++position_;
    return text_.substr(start, position_ - start);
  }
  int number() {
    skip_space();
    int value = 0;
    const char* begin = text_.data() + position_;
    const auto [end, code] = std::from_chars(begin, text_.data() + text_.size(), value);
    if (code == std::errc::result_out_of_range) fail("this number is too large");
    if (code != std::errc()) fail("a number is missing");
    if (value < 0) fail("this number is negative");
    position_ += static_cast<size_t>(end - begin);
    return value;
  }

 private:
  std::string_view text_;
  size_t position_ = 0;
};

// "3,2,32,1,128": blocks, layers, filters, dense layers, units; the units may be missing.
StudentConfig parse_table_order(std::string_view text) {
  Scanner scan(text);
  StudentConfig config;
  config.blocks = scan.number();
  scan.need(',');
  config.layers = scan.number();
  scan.need(',');
  config.filters = scan.number();
  scan.need(',');
  config.dense_layers = scan.number();
  if (scan.take(',')) config.dense_units = scan.number();
  if (!scan.at_end()) scan.fail("nothing more is expected here");
  return config;
}

StudentConfig parse_words(std::string_view text) {
  StudentConfig config;
  const std::map<std::string_view, int StudentConfig::*> parts = {
      {"block", &StudentConfig::blocks},       {"blocks", &StudentConfig::blocks},
      {"layer", &StudentConfig::layers},       {"layers", &StudentConfig::layers},
      {"filter", &StudentConfig::filters},     {"filters", &StudentConfig::filters},
      {"dense", &StudentConfig::dense_layers}, {"unit", &StudentConfig::dense_units},
      {"units", &StudentConfig::dense_units}};
  std::vector<int StudentConfig::*> seen;
  Scanner scan(text);
  while (!scan.at_end()) {
    const int value = scan.number();
    const std::string_view word = scan.word();
    const auto part = parts.find(word);
    if (part == parts.end())
      scan.fail(word.empty()
                    ? std::string("a word must follow the number: blocks, layers, filters, dense or units")
                    : fmt::format("\"{}\" is none of blocks, layers, filters, dense, units", word));
    for (const auto member : seen)
      if (member == part->second) scan.fail(fmt::format("\"{}\" is given twice", word));
    seen.push_back(part->second);
    config.*part->second = value;
    scan.take(',');
  }
  if (seen.empty()) scan.fail("it is empty");
  return config;
}

// "[('Conv2D', 16), ('MaxPool2D', None), ('Dense', 10)]"
std::vector<Layer> parse_printed_list(std::string_view text) {
  Scanner scan(text);
  std::vector<Layer> layers;
  scan.need('[');
  while (!scan.take(']')) {
    scan.need('(');
    const char quote = scan.take('"') ? '"' : '\'';
    if (quote == '\'') scan.need('\'');
    const std::string_view name = scan.word();
    scan.need(quote);
    std::optional<int> value;
    if (scan.take(',')) {
      if (scan.take('N')) {
        if (scan.word() != "one") scan.fail("a number or None is missing");
      } else {
        value = scan.number();
      }
    }
    scan.need(')');
    layers.push_back(make_layer(name, value));
    if (!scan.take(',')) {
      scan.need(']');
      break;
    }
  }
  if (!scan.at_end()) scan.fail("nothing more is expected after the list");
  return layers;
}

// [["Conv2D", 16], ["MaxPool2D", null], ["Flatten"], ["Dense", 10]]
std::vector<Layer> parse_json_list(const Json& json) {
  std::vector<Layer> layers;
  for (size_t i = 0; i < json.size(); ++i) {
    const Json& entry = json[i];
    if (!entry.is_array() || entry.empty() || entry.size() > 2 || !entry[0].is_string())
      throw_usage("layer {}: it must be [\"Conv2D\", 16] or [\"Flatten\", null]", i + 1);
    std::optional<int> value;
    if (entry.size() == 2 && !entry[1].is_null()) {
      if (!entry[1].is_number_unsigned() ||
          entry[1].get<uint64_t>() > static_cast<uint64_t>(kMaximumDimension))
        throw_usage("layer {}: its number must be a whole one from 1 to {}", i + 1, kMaximumDimension);
      value = entry[1].get<int>();
    }
    layers.push_back(make_layer(entry[0].get_ref<const std::string&>(), value));
  }
  return layers;
}

// create_model drops the last layer, whatever it is, because it stands for the classes' layer.
Graph model_of_list(const std::vector<Layer>& layers, Shape input, int classes) {
  if (layers.empty() || layers.back().kind != LayerKind::Dense)
    throw_usage(
        "the list of layers {}, but its last one stands for the classes' layer: write ('Dense', {}) last",
        layers.empty() ? std::string("is empty")
                       : fmt::format("ends with {}", layer_name(layers.back().kind)),
        classes);
  return create_model(layers, input, classes);
}

Graph graph_from_file(const std::string& path, Shape input, int classes) {
  constexpr uint64_t kMostBytes = uint64_t{16}
                                  << 20U;  // a graph with all nodes that it may have is a tenth of it
  const std::string text = read_text(path, kMostBytes);
  const size_t first = text.find_first_not_of(" \t\r\n");
  try {
    if (first != std::string::npos && text[first] == '[') {
      // A layer list nests two levels; a deeper one is refused before it can exhaust anything.
      const auto limit_depth = [](int depth, Json::parse_event_t /*event*/, Json& /*parsed*/) {
        if (depth > 4) throw_usage("the list of layers is nested too deeply");
        return true;
      };
      try {
        return model_of_list(parse_json_list(Json::parse(text, limit_depth)), input, classes);
      } catch (const Json::exception& error) {
        throw_usage("this is not a JSON list of layers: {}", error.what());
      }
    }
    Graph graph = graph_from_json(text);
    if (graph.input_shape() != input)
      throw_usage("the graph's input is {}, but the data is {}", to_string(graph.input_shape()),
                  to_string(input));
    const Shape output = graph.node(graph.logits()).shape;
    if (!output.flat || output.channels != classes)
      throw_usage("the graph's output is {}, but the data has {} classes", to_string(output), classes);
    return graph;
  } catch (const Error& error) {
    throw Error(error.code(), fmt::format("{}: {}", path, error.what()));
  }
}

}  // namespace

bool is_config_file(std::string_view text) {
  return text.ends_with(".json");
}

Graph graph_from_config(std::string_view text, Shape input, int classes) {
  const size_t first = text.find_first_not_of(" \t\r\n");
  if (first == std::string_view::npos) throw_usage("the configuration is empty; {}", kExample);
  text = text.substr(first, text.find_last_not_of(" \t\r\n") + 1 - first);
  if (is_config_file(text)) return graph_from_file(std::string(text), input, classes);
  if (text.front() == '[') return model_of_list(parse_printed_list(text), input, classes);
  if (is_micro_network(text)) return build(micro_network(text), input, classes);
  const bool digits_only = text.find_first_not_of("0123456789, ") == std::string_view::npos;
  const StudentConfig config = digits_only ? parse_table_order(text) : parse_words(text);
  return create_model(student_layers(config, classes), input, classes);
}

}  // namespace retort::graph
