#include "cli/models.h"

#include <algorithm>
#include <cmath>
#include <numeric>
#include <utility>

#include "base/error.h"
#include "base/json.h"
#include "cli/options.h"
#include "compress/distillation.h"
#include "graph/notebook.h"
#include "graph/parameters.h"
#include "search/settings.h"
#include "search/teacher.h"

namespace retort::cli {
namespace {

data::ImageShape image_shape(const graph::Shape& shape) {
  return {shape.height, shape.width, shape.channels};
}

std::vector<uint32_t> all_of(const data::ImageSet& images) {
  std::vector<uint32_t> indices(images.count());
  std::iota(indices.begin(), indices.end(), 0U);
  return indices;
}

}  // namespace

CLI::Option* add_config_option(CLI::App& app, std::string& config, const std::string& description) {
  return add_parsed(app, "--config", "TEXT", description, "", [&config](const std::string& text) {
    if (text.empty()) throw_usage("it is empty where a network is expected, such as '3 blocks, 32 filters'");
    config = text;
  });
}

void add_model_options(CLI::App& app, ModelOptions& options) {
  app.add_option("model", options.file, "a file of weights (weights.retort)")->type_name("MODEL");
  add_config_option(app, options.config,
                    "a fresh network instead: '3 blocks, 2 layers, 32 filters, 1 dense, 128 units', the "
                    "notebook's list, or a .json file");
}

graph::Shape input_shape(const data::ImageShape& shape) {
  return {.height = shape.height, .width = shape.width, .channels = shape.channels};
}

std::string to_string(const data::ImageShape& shape) {
  return fmt::format("{}x{}x{}", shape.height, shape.width, shape.channels);
}

void check_fits(const graph::Graph& graph, const data::Dataset& dataset, std::string_view name) {
  const graph::Shape input = graph.input_shape();
  if (input.size() != static_cast<int64_t>(dataset.train.shape.bytes()) ||
      (!input.flat && image_shape(input) != dataset.train.shape))
    throw_usage("{} takes {} but the data has {}: ?size=HxW&gray=0|1 in --data converts it", name,
                to_string(image_shape(input)), to_string(dataset.train.shape));
  if (graph.classes() != static_cast<int>(dataset.classes.size()))
    throw_usage("{} tells {} classes apart but the data has {}", name, graph.classes(),
                dataset.classes.size());
}

engine::Model obtain_model(const ModelOptions& options, const data::Dataset& dataset, const Rng& rng) {
  if (options.file.empty() == options.config.empty())
    throw_usage("give either MODEL, a file of weights, or --config, a fresh network");
  engine::Model model;
  if (options.file.empty()) {
    model.graph = graph::graph_from_config(options.config, input_shape(dataset.train.shape),
                                           static_cast<int>(dataset.classes.size()));
    model.parameters = graph::initialize(model.graph, rng.fork("weights"));
    check_fits(model.graph, dataset, "the network of --config");
  } else {
    model = engine::load_model(options.file);
    check_fits(model.graph, dataset, options.file.string());
  }
  return model;
}

std::shared_ptr<const data::Dataset> load_for(const DataOptions& options, const int8::QuantGraph& graph,
                                              const std::string& name, ProgressSink& progress) {
  auto dataset = load(options, progress);
  const std::vector<int>& dims = graph.tensors.at(static_cast<size_t>(graph.inputs.at(0))).dims;
  const data::ImageShape has = dataset->train.shape;
  const bool flat = dims.size() == 2 && static_cast<int64_t>(has.bytes()) == dims[1];
  if (flat || (dims.size() == 4 && data::ImageShape{dims[1], dims[2], dims[3]} == has)) return dataset;
  if (dims.size() != 4)
    throw_usage("{} takes tensors of {} dimensions, which images of {} are not", name, dims.size(),
                to_string(has));
  const data::ImageShape wants{dims[1], dims[2], dims[3]};
  const data::Spec spec = data::parse_spec(options.spec);
  const bool size_given = spec.height > 0 && (has.height != wants.height || has.width != wants.width);
  const bool gray_given = spec.gray && has.channels != wants.channels;
  if (size_given || gray_given ||
      (wants.channels != has.channels && wants.channels != 1 && wants.channels != 3))
    throw_usage("{} takes {} but the data is {}", name, to_string(wants), to_string(has));

  DataOptions converted = options;
  bool has_options = spec.height > 0 || spec.gray;
  const auto add = [&](const std::string& option) {
    converted.spec += (has_options ? "&" : "?") + option;
    has_options = true;
  };
  if (has.height != wants.height || has.width != wants.width)
    add(fmt::format("size={}x{}", wants.height, wants.width));
  if (has.channels != wants.channels) add(wants.channels == 1 ? "gray=1" : "gray=0");
  progress.message(fmt::format("the data is {}, the model takes {}: reading {}", to_string(has),
                               to_string(wants), converted.spec));
  auto resized = load(converted, progress);
  if (resized->train.shape != wants)
    throw_usage("{} takes {} but the data is {}", name, to_string(wants), to_string(resized->train.shape));
  return resized;
}

bool is_quantized(const graph::Graph& graph) {
  return std::ranges::any_of(graph.nodes(), [](const graph::Node& node) {
    return std::holds_alternative<graph::FakeQuant>(node.op);
  });
}

std::optional<engine::TeacherLogits> obtain_teacher(std::string_view text, const data::Dataset& dataset,
                                                    const data::ViewOptions& views, int threads,
                                                    ProgressSink& progress, std::stop_token stop) {
  const search::TeacherSettings teacher = search::parse_teacher(text, {});
  switch (teacher.kind) {
    case search::TeacherKind::None:
      return std::nullopt;
    case search::TeacherKind::Logits: {
      engine::TeacherLogits logits = compress::load_teacher_logits(teacher.path, dataset);
      search::check_views(teacher.path, logits, views);
      return logits;
    }
    case search::TeacherKind::Train:
      throw_usage("--teacher train is for retort search: run retort teacher and give its weights here");
    case search::TeacherKind::Model:
      break;
  }
  const engine::Model model = engine::load_model(teacher.path);
  check_fits(model.graph, dataset, teacher.path);
  engine::CompileOptions options;
  options.batch_size = engine::kPredictsOnly;
  options.threads = threads;
  const auto network = engine::backend().compile(model.graph, options);
  network->set_parameters(model.parameters);
  return compress::teacher_logits(*network, dataset, views, progress, std::move(stop));
}

Part part_of(const data::Dataset& dataset, std::string_view name,
             const std::function<data::Split()>& divide) {
  if (name == "all") return {dataset.train, all_of(dataset.train)};
  if (name == "test" && dataset.test.count() > 0) return {dataset.test, all_of(dataset.test)};
  const data::Split parts = divide();
  if (name == "train") return {dataset.train, parts.train};
  if (name == "validation") return {dataset.train, parts.validation};
  return {dataset.train, parts.test};
}

std::filesystem::path weights_path(const std::filesystem::path& out) {
  return out.extension() == ".retort" ? out : out / "weights.retort";
}

Json history_json(const engine::History& history) {
  Json epochs = Json::array();
  for (const engine::EpochResult& epoch : history.epochs)
    epochs.push_back({{"epoch", epoch.epoch},
                      {"train_loss", epoch.train_loss},
                      {"train_accuracy", epoch.train_accuracy},
                      {"validation_loss", epoch.validation_loss},
                      {"validation_accuracy", epoch.validation_accuracy},
                      {"seconds", epoch.seconds}});
  return epochs;
}

std::string percent(double share) {
  return std::isfinite(share) ? fmt::format("{:.1f}%", 100 * share) : "unknown";
}

}  // namespace retort::cli
