// retort inspect: what a model is made of and what it costs.
#include <fmt/ranges.h>

#include <algorithm>
#include <array>
#include <cstring>
#include <filesystem>
#include <memory>
#include <optional>

#include "base/error.h"
#include "base/file.h"
#include "base/json.h"
#include "base/units.h"
#include "cli/commands.h"
#include "cli/inspect.h"
#include "cli/models.h"
#include "cli/options.h"
#include "cli/problem_text.h"
#include "cli/target.h"
#include "cli/terminal.h"
#include "cost/cost.h"
#include "graph/notebook.h"
#include "int8/tflite.h"
#include "report/arena_picture.h"

namespace retort::cli {
namespace {

struct InspectCommand {
  ModelOptions model;
  std::optional<data::ImageShape> input;
  int classes = 10;
  int8::Ends ends = int8::Ends::Float;
  bool ends_given = false;
  std::filesystem::path svg;
  TargetOptions target;
  bool target_given = false;
  OutputOptions output;
};

// A line of the table: what the program or the file says of an operator. Texts are empty where nothing is
// known.
struct Line {
  std::string number;
  std::string name;
  std::string shapes;  // "1x8x8x1 → 1x8x8x16"
  std::string window;  // "3x3 /2"
  std::string macs;
  std::string weights;
  std::string bytes;
  std::string offset;
  std::string life;
};

struct Inspected {
  std::string title;
  std::optional<cost::Cost> cost;  // when the network is supported, else:
  std::vector<Line> lines;
  std::vector<int8::Problem> problems;
  Json about;  // what is known beside the cost
};

constexpr int kMostColumns = 100;  // of whatever is printed

// ---- the table

std::string dims_text(const std::vector<int>& dims) {
  return dims.empty() ? "scalar" : fmt::format("{}", fmt::join(dims, "x"));
}

// Equal shapes once: "2 of 1x8x8x16".
std::string shapes_text(const std::vector<std::vector<int>>& shapes) {
  std::vector<std::string> parts;
  for (size_t first = 0; first < shapes.size();) {
    const auto differs = [&](const std::vector<int>& dims) { return dims != shapes[first]; };
    const auto begin = shapes.begin() + static_cast<std::ptrdiff_t>(first);
    const auto count = static_cast<size_t>(std::find_if(begin, shapes.end(), differs) - begin);
    parts.push_back((count > 1 ? fmt::format("{} of ", count) : "") + dims_text(shapes[first]));
    first += count;
  }
  return fmt::format("{}", fmt::join(parts, ", "));
}

std::string step_text(const std::vector<std::vector<int>>& inputs,
                      const std::vector<std::vector<int>>& outputs) {
  return inputs.empty() ? shapes_text(outputs) : shapes_text(inputs) + " → " + shapes_text(outputs);
}

std::string window_text(const std::optional<cost::WindowSize>& window) {
  if (!window) return "";
  const std::string size = fmt::format("{}x{}", window->height, window->width);
  if (window->stride_height != window->stride_width)
    return fmt::format("{} /{}x{}", size, window->stride_height, window->stride_width);
  return window->stride_height == 1 ? size : fmt::format("{} /{}", size, window->stride_height);
}

std::string unless_zero(int64_t value) {
  return value == 0 ? "" : format_integer(value);
}

void tell_life(Line& line, const cost::HeadBuffer& buffer) {
  line.bytes = format_integer(buffer.bytes);
  line.offset = format_integer(buffer.offset);
  line.life = fmt::format("{}–{}", buffer.first_used < 0 ? "start" : std::to_string(buffer.first_used),
                          buffer.last_used < 0 ? "start" : std::to_string(buffer.last_used));
}

std::vector<Line> lines_of(const cost::Cost& cost) {
  std::vector<Line> lines;
  for (const cost::HeadBuffer& buffer : cost.head)
    if (buffer.kind == cost::HeadBuffer::Kind::Input) {
      Line line{.name = "input"};
      tell_life(line, buffer);
      lines.push_back(std::move(line));
    }
  for (size_t i = 0; i < cost.layers.size(); ++i) {
    const cost::LayerCost& layer = cost.layers[i];
    Line line{.number = std::to_string(i),
              .name = layer.operator_name,
              .shapes = step_text(layer.inputs_dims, {layer.output_dims}),
              .window = window_text(layer.window),
              .macs = unless_zero(layer.macs),
              .weights = unless_zero(layer.weight_bytes)};
    if (layer.output_buffer >= 0) tell_life(line, cost.head[static_cast<size_t>(layer.output_buffer)]);
    lines.push_back(std::move(line));
  }
  return lines;
}

// What a file says of itself: shapes and constants of each operator.
struct FileLayer {
  std::string name;
  std::vector<std::vector<int>> inputs;
  std::vector<std::vector<int>> outputs;
  int64_t weight_bytes = 0;  // of the constants that it is the first to read
};

std::vector<FileLayer> layers_of(const int8::TfliteContents& contents) {
  std::vector<bool> counted(contents.tensors.size(), false);
  std::vector<FileLayer> layers;
  for (const int8::TfliteContents::Operator& op : contents.operators) {
    FileLayer layer{int8::printable(op.name), {}, {}, 0};
    for (const int input : op.inputs) {
      if (input < 0) continue;
      const auto index = static_cast<size_t>(input);
      const int8::TfliteContents::Tensor& tensor = contents.tensors[index];
      if (tensor.data_bytes == 0) layer.inputs.push_back(tensor.dims);
      if (!counted[index]) layer.weight_bytes += static_cast<int64_t>(tensor.data_bytes);
      counted[index] = true;
    }
    for (const int output : op.outputs)
      layer.outputs.push_back(contents.tensors[static_cast<size_t>(output)].dims);
    layers.push_back(std::move(layer));
  }
  return layers;
}

std::vector<Line> lines_of(const std::vector<FileLayer>& layers) {
  std::vector<Line> lines;
  for (size_t i = 0; i < layers.size(); ++i)
    lines.push_back({.number = std::to_string(i),
                     .name = layers[i].name,
                     .shapes = step_text(layers[i].inputs, layers[i].outputs),
                     .weights = unless_zero(layers[i].weight_bytes)});
  return lines;
}

struct Column {
  std::string Line::* text;
  std::string_view heading;
  enum class Side { Left, Right } side;
};
constexpr std::array kColumns = {Column{&Line::number, "", Column::Side::Right},
                                 Column{&Line::name, "operator", Column::Side::Left},
                                 Column{&Line::shapes, "input → output", Column::Side::Left},
                                 Column{&Line::window, "window", Column::Side::Left},
                                 Column{&Line::macs, "macs", Column::Side::Right},
                                 Column{&Line::weights, "weights", Column::Side::Right},
                                 Column{&Line::bytes, "arena", Column::Side::Right},
                                 Column{&Line::offset, "offset", Column::Side::Right},
                                 Column{&Line::life, "life", Column::Side::Right}};

// As wide as its texts ask for; where that is more than 100 columns they come closer, then shapes are cut.
std::string table(const std::vector<Line>& lines) {
  constexpr int kNarrowestShapes = 24;
  constexpr int kWidestName = 28;
  constexpr size_t kShapes = 2;
  std::array<int, kColumns.size()> widths{};
  int sum = 0;
  int columns = 0;
  for (size_t c = 0; c < kColumns.size(); ++c) {
    const Column& column = kColumns.at(c);
    int& width = widths.at(c);
    for (const Line& line : lines) width = std::max(width, display_columns(line.*column.text));
    if (width == 0) continue;  // nothing to say
    width = std::max(width, display_columns(column.heading));
    if (column.text == &Line::name) width = std::min(width, kWidestName);
    sum += width;
    ++columns;
  }
  const int gap = sum + 2 * (columns - 1) <= kMostColumns ? 2 : 1;
  const int excess = std::max(sum + gap * (columns - 1) - kMostColumns, 0);
  int& shapes = widths.at(kShapes);
  shapes = std::max(shapes - excess, std::min(shapes, kNarrowestShapes));
  const auto written = [&](const auto& text_of) {
    std::string row;
    for (size_t c = 0; c < kColumns.size(); ++c) {
      if (widths.at(c) == 0) continue;
      const std::string text = fit_columns(text_of(kColumns.at(c)), widths.at(c), Charset::Utf8);
      const std::string space(static_cast<size_t>(widths.at(c) - display_columns(text)), ' ');
      if (!row.empty()) row.append(static_cast<size_t>(gap), ' ');
      row += kColumns.at(c).side == Column::Side::Left ? text + space : space + text;
    }
    row.erase(row.find_last_not_of(' ') + 1);
    return row + "\n";
  };
  std::string text = written([](const Column& column) { return std::string(column.heading); });
  for (const Line& line : lines) text += written([&](const Column& column) { return line.*column.text; });
  return text;
}

// ---- files, weights, configurations

Json tensor_json(const int8::TfliteContents& contents, const std::vector<int>& indices) {
  Json list = Json::array();
  for (const int index : indices) {
    const auto i = static_cast<size_t>(index);
    const int8::TfliteContents::Tensor& tensor = contents.tensors.at(i);
    Json one = {{"name", tensor.name}, {"type", tensor.type}, {"shape", tensor.dims}};
    if (contents.graph && !contents.graph->tensors[i].quantization.scales.empty()) {
      const int8::Quantization& quantization = contents.graph->tensors[i].quantization;
      one["scale"] = quantization.scales.front();
      one["zero_point"] = quantization.zero_points.front();
    }
    list.push_back(std::move(one));
  }
  return list;
}

// What can be said of a file that is sound but not supported.
void describe(Inspected& inspected, const int8::TfliteContents& contents) {
  const std::vector<FileLayer> layers = layers_of(contents);
  inspected.lines = lines_of(layers);
  std::vector<std::string> names;
  Json list = Json::array();
  for (const FileLayer& layer : layers) {
    names.push_back(layer.name);
    list.push_back({{"operator", layer.name},
                    {"inputs", layer.inputs},
                    {"outputs", layer.outputs},
                    {"weight_bytes", layer.weight_bytes}});
  }
  inspected.about["operators"] = std::move(names);
  inspected.about["layers"] = std::move(list);
}

Inspected inspect_tflite(const std::vector<uint8_t>& bytes, const std::filesystem::path& file,
                         const cost::Target& target) {
  int8::TfliteContents contents = int8::open_tflite(bytes, file.string());
  const auto flash_bytes = static_cast<int64_t>(bytes.size());
  Inspected inspected{.title = file.filename().string(),
                      .problems = contents.problems,
                      .about = {{"file", file.string()},
                                {"flash_bytes", flash_bytes},
                                {"inputs", tensor_json(contents, contents.inputs)},
                                {"outputs", tensor_json(contents, contents.outputs)},
                                {"supported", contents.graph.has_value()},
                                {"problems", problems_json(contents.problems)}}};
  if (contents.graph) {
    inspected.cost = cost::analyze(*contents.graph, flash_bytes, target);
    inspected.about["classes"] = contents.graph->classes;
  } else {
    describe(inspected, contents);
  }
  return inspected;
}

// `classes` travel in the file; a fresh network has none yet.
Inspected inspect_graph(const graph::Graph& graph, int8::Ends ends, const std::vector<std::string>& classes,
                        const cost::Target& target) {
  const graph::Shape input = graph.input_shape();
  return {.cost = cost::analyze(graph, {.ends = ends, .classes = classes, .target = target}),
          .about = {{"input", {input.height, input.width, input.channels}},
                    {"class_count", graph.classes()},
                    {"quantized", is_quantized(graph)},
                    {"hash", graph::structural_hash(graph)}}};
}

bool begins_as_tflite(const std::filesystem::path& file) {
  std::array<uint8_t, 8> start{};
  return InputFile(file).read(start) == start.size() && std::memcmp(start.data() + 4, "TFL3", 4) == 0;
}

Inspected inspect(const InspectCommand& command, const cost::Target& target) {
  const bool from_file = !command.model.file.empty();
  if (from_file != command.model.config.empty()) throw_usage("give either a file or --config");
  if (!from_file) {
    if (!command.input) throw_usage("--config needs the network's input: give --input like 32x32x1");
    const graph::Graph graph =
        graph::graph_from_config(command.model.config, input_shape(*command.input), command.classes);
    Inspected inspected = inspect_graph(graph, command.ends, {}, target);
    inspected.title = command.model.config;
    return inspected;
  }
  if (command.model.file.extension() == ".tflite" || begins_as_tflite(command.model.file)) {
    if (command.ends_given)
      throw_usage("--ends is for weights and --config: {} has its ends already", command.model.file.string());
    return inspect_tflite(read_file(command.model.file, int8::kMostTfliteBytes), command.model.file, target);
  }
  const engine::Model model = engine::load_model(command.model.file);
  Inspected inspected = inspect_graph(model.graph, command.ends, model.classes, target);
  inspected.title = command.model.file.filename().string();
  inspected.about["file"] = command.model.file.string();
  inspected.about["classes"] = model.classes;
  inspected.about["sparsity"] = graph::kernel_sparsity(model.parameters);
  return inspected;
}

std::string bytes_text(int64_t bytes) {
  return fmt::format("{} ({} bytes)", format_bytes(bytes), format_integer(bytes));
}

std::string arena_text(const cost::Arena& arena) {
  return fmt::format("{}, head {} + tail {}", bytes_text(arena.used_bytes()),
                     format_integer(arena.head_bytes), format_integer(arena.tail_bytes));
}

std::string totals(const cost::Cost& cost, const Json& about) {
  std::string text =
      fmt::format("parameters       {}\nmacs             {}\nweights          {}\nflash            {}\n",
                  format_integer(cost.parameters), format_integer(cost.macs), bytes_text(cost.weight_bytes),
                  bytes_text(cost.flash_bytes));
  text += fmt::format("activations      {} at once, without the input\n", bytes_text(cost.activation_bytes));
  text += fmt::format("arena cortex-m4  {}\narena host       {}\n", arena_text(cost.cortex_m4),
                      arena_text(cost.host));
  if (about.contains("sparsity"))
    text += fmt::format("zeros            {}\n", percent(about["sparsity"].get<double>()));
  if (about.contains("classes") && !about["classes"].empty()) {
    auto classes = about["classes"].get<std::vector<std::string>>();
    for (std::string& name : classes) name = int8::printable(name);
    text += fmt::format("classes          {}\n", fmt::join(classes, ", "));
  }
  return text;
}

Json json_of(const Inspected& inspected, const cost::Target& target) {
  if (!inspected.cost) return inspected.about;
  Json json = *inspected.cost;
  json.update(inspected.about);
  json.update(fit_json(*inspected.cost, target));
  return json;
}

void run(const InspectCommand& command) {
  if (!command.svg.empty()) require_writable("--svg", command.svg);
  Terminal terminal(command.output);
  const cost::Target target = resolve_target(command.target);
  const Inspected inspected = inspect(command, target);
  Json json = json_of(inspected, target);
  std::string text;
  if (inspected.cost) {
    text = table(lines_of(*inspected.cost)) + "\n" + totals(*inspected.cost, inspected.about);
    if (command.target_given) text += "\n" + fit_text(*inspected.cost, target);
    if (!command.svg.empty()) {
      write_text_atomic(through_link(command.svg),
                        report::arena_svg(report::arena_of(*inspected.cost, inspected.title, target)));
      json["svg"] = command.svg.string();
    }
  } else {
    const auto flash_bytes = inspected.about["flash_bytes"].get<int64_t>();
    text = fmt::format(
        "{}\nflash            {}\n\n{}", table(inspected.lines), bytes_text(flash_bytes),
        problems_text(inspected.problems, inspected.about["operators"].get<std::vector<std::string>>()));
  }
  terminal.result_json(json);
  terminal.result(text);
  if (!inspected.cost)
    throw_failure("{}: not supported, for {}{}", inspected.about["file"].get<std::string>(),
                  inspected.problems.size() == 1
                      ? "a reason that is listed"
                      : fmt::format("{} reasons that are listed", inspected.problems.size()),
                  command.svg.empty() ? "" : "; there is no picture of its arena");
}

}  // namespace

Json inspection_json(const std::vector<uint8_t>& tflite, const std::string& name,
                     const cost::Target& target) {
  return json_of(inspect_tflite(tflite, name, target), target);
}

void add_inspect_command(CLI::App& app) {
  CLI::App* sub = app.add_subcommand(
      "inspect",
      "What a model is made of and costs: operators, shapes, MACs, weights, arena, what is not supported");
  const auto command = std::make_shared<InspectCommand>();
  add_model_options(*sub, command->model);
  sub->get_option("model")->description("a .tflite file, ours or anyone's, or weights (weights.retort)");
  add_image_shape(*sub, "--input", command->input, "input of the network of --config");
  add_integer(*sub, "--classes", command->classes, 2, 65535, "classes of the network of --config");
  add_ends_option(*sub, command->ends);
  add_output_path(*sub, "--svg", command->svg, "FILE", "draw the arena over time");
  add_target_options(*sub, command->target);
  add_output_options(*sub, command->output);
  add_examples(*sub,
               {"retort inspect best/model.tflite", "retort inspect model.tflite --json",
                "retort inspect model.tflite --svg arena.svg",
                "retort inspect model.tflite --board nano33ble --runtime tflm",
                "retort inspect --config '3 blocks, 2 layers, 32 filters' --input 32x32x1 --classes 10"});
  for (const char* name : {"--input", "--classes"}) sub->get_option(name)->needs(sub->get_option("--config"));
  sub->callback([command, sub] {
    command->ends_given = sub->get_option("--ends")->count() > 0;
    command->target_given = !command->target.board.empty() || sub->get_option("--runtime")->count() > 0;
    run(*command);
  });
}

}  // namespace retort::cli
