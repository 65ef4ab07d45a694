// Writes training cases with our results for torch_training.py, which computes the same in PyTorch.
//
//   conformance_torch_training FOLDER
//   conformance_torch_training FOLDER forced
//
// FOLDER/cases.json lists the cases: a graph, where its parameters and batches lie, what was asked, and for
// each backend its losses and files of results. Numbers are raw little-endian files: float32, labels uint16,
// images bytes.
//
// Of a case whose kind is "forced" the second call makes each step from the state that torch_training.py left
// for it, CASE.state.STEP: the parameters and Adam's two moments. It writes FOLDER/forced.json, a list of
// losses and files of updated parameters by case.
#include <fmt/format.h>

#include <array>
#include <cmath>
#include <cstdio>
#include <cstring>
#include <exception>
#include <filesystem>
#include <memory>
#include <string>
#include <utility>
#include <vector>

#include "base/error.h"
#include "base/file.h"
#include "base/json.h"
#include "base/rng.h"
#include "engine/network.h"
#include "graph/graph.h"
#include "graph/notebook.h"
#include "graph/parameters.h"
#include "graph/quantized_form.h"
#include "graph/random_graph.h"

namespace retort {
namespace {

constexpr std::array<const char*, 7> role_names{"kernel", "bias",     "gamma", "beta",
                                                "mean",   "variance", "range"};

struct Case {
  std::string name;
  std::string kind;  // "gradients", "steps", "forced" or "quantised": what is compared, and how closely
  graph::Graph graph;
  graph::Parameters parameters;
  int batch = 8;
  int steps = 1;
  float rate = 1e-3F;
  engine::Objective objective;
  engine::OptimizerOptions optimizer;
  std::vector<std::string> backends{"cpu", "reference"};
};

// PyTorch draws other random numbers, so nothing is dropped.
graph::Graph without_dropout(const graph::Graph& graph) {
  graph::Graph result(graph.input_shape());
  for (int i = 1; i < graph.size(); ++i) {
    graph::Operator op = graph.node(i).op;
    if (auto* dropout = std::get_if<graph::Dropout>(&op)) dropout->rate = 0;
    result.add(op, graph.node(i).inputs);
  }
  return result;
}

// As after some training: biases and norms differ from their initial 0 and 1.
graph::Parameters parameters_for(const graph::Graph& graph, Rng rng) {
  graph::Parameters parameters = graph::initialize(graph, rng);
  for (const graph::ParameterSpec& spec : parameters.specs())
    if (spec.role != graph::Role::Kernel && spec.role != graph::Role::Range)
      for (float& value : parameters.at(spec.node, spec.role)) value += rng.uniform(-0.5F, 0.5F);
  return parameters;
}

// `op` between a convolution and a dense layer.
graph::Graph around(const graph::Operator& op) {
  graph::Graph graph({7, 6, 2, false});
  graph::Conv conv;
  conv.filters = 3;
  graph.add(conv);
  if (std::holds_alternative<graph::Add>(op)) {
    graph.add(graph::DepthwiseConv{});
    graph.add(op, {1, 2});
  } else if (std::holds_alternative<graph::Dense>(op)) {
    graph.add(graph::Flatten{});
    graph.add(op);
  } else {
    graph.add(op);
  }
  if (!graph.node(graph.output()).shape.flat) graph.add(graph::Flatten{});
  graph::Dense dense;
  dense.units = 5;
  graph.add(dense);
  graph.add(graph::Softmax{});
  return graph;
}

std::vector<std::pair<std::string, graph::Operator>> operators() {
  using graph::Padding;
  const auto conv = [](graph::Window window) {
    graph::Conv op;
    op.filters = 4;
    op.window = window;
    return op;
  };
  graph::Dense dense;
  dense.units = 6;
  return {{"conv", conv({3, 3, 1, 1, Padding::Same})},
          {"conv stride 2", conv({3, 3, 2, 2, Padding::Same})},
          {"conv rectangular", conv({2, 5, 3, 1, Padding::Same})},
          {"conv valid", conv({3, 2, 2, 1, Padding::Valid})},
          {"depthwise conv", graph::DepthwiseConv{{3, 3, 1, 1, Padding::Same}}},
          {"depthwise conv stride 2", graph::DepthwiseConv{{3, 3, 2, 2, Padding::Same}}},
          {"depthwise conv valid", graph::DepthwiseConv{{2, 3, 1, 2, Padding::Valid}}},
          {"dense", dense},
          {"batch norm", graph::BatchNorm{}},
          {"relu", graph::Relu{}},
          {"relu6", graph::Relu6{}},
          {"max pool", graph::MaxPool{}},
          {"max pool overlapping", graph::MaxPool{{3, 3, 2, 2, Padding::Same}}},
          {"average pool", graph::AvgPool{}},
          {"average pool overlapping", graph::AvgPool{{3, 3, 2, 2, Padding::Same}}},
          {"global average pool", graph::GlobalAvgPool{}},
          {"add", graph::Add{}},
          {"dropout of none", graph::Dropout{0}}};
}

const std::vector<std::pair<std::string, engine::Objective>> objectives{
    {"cross-entropy", {1.0F, 1.0F, 0.0F}},
    {"distillation", {0.1F, 3.0F, 0.0F}},
    {"distillation alone", {0.0F, 4.0F, 0.0F}},
    {"smoothed labels", {1.0F, 1.0F, 0.1F}},
    {"smoothed distillation", {0.6F, 2.0F, 0.2F}}};

std::vector<Case> all_cases() {
  std::vector<Case> cases;
  const Rng rng(20);
  const auto add = [&](std::string name, std::string kind, const graph::Graph& graph) -> Case& {
    Case made;
    made.name = std::move(name);
    made.kind = std::move(kind);
    made.graph = graph;
    made.parameters = parameters_for(graph, rng.fork("parameters", cases.size()));
    cases.push_back(std::move(made));
    return cases.back();
  };
  for (const auto& [name, op] : operators())
    for (const auto& [loss, objective] : objectives) {
      if (&objective != &objectives.front().second && name != "dense" && loss != "distillation") continue;
      add(name + ", " + loss, "gradients", around(op)).objective = objective;
    }
  for (uint64_t seed = 0; seed < 40; ++seed) {
    Rng stream = rng.fork("graph", seed);
    add(fmt::format("random graph {}", seed), "gradients", without_dropout(graph::random_graph(stream, {})))
        .objective = objectives[seed % objectives.size()].second;
  }
  for (uint64_t seed = 0; seed < 20; ++seed) {
    Rng stream = rng.fork("quantised", seed);
    const graph::Graph plain = graph::random_graph(stream, {});
    const graph::QuantizedForm form = graph::quantized_form(plain, parameters_for(plain, stream));
    Case& made = add(fmt::format("quantised random graph {}", seed), "quantised", form.graph);
    made.parameters = form.parameters;
    // Ranges move from batch to batch; weights stay, so that rounding can't lead the two apart.
    made.steps = 4;
    made.rate = 0;
  }

  const auto steps = [&](const std::string& name, const graph::Graph& graph) -> Case& {
    Case& made = add(name, "steps", graph);
    made.parameters = graph::initialize(graph, rng.fork("start", cases.size()));
    made.batch = 32;
    made.steps = 10;
    made.optimizer.epsilon_form = engine::EpsilonForm::PyTorch;
    return made;
  };
  const graph::Shape image{32, 32, 1, false};
  struct Student {
    const char* config;
    const char* kind;
    std::vector<std::string> backends;
  };
  // Ten steps of the deepest are chaotic: how far rounding carries them apart depends on the processor.
  const Student students[] = {
      {"1,1,16,0,64", "steps", {"cpu", "reference"}},
      {"2,1,16,1,64", "steps", {"cpu"}},
      {"3,2,32,1,128", "forced", {"cpu"}},
  };
  for (const auto& [config, kind, backends] : students) {
    const graph::Graph student = graph::graph_from_config(config, image, 10);
    Case& plain = steps(fmt::format("student {}, Adam", config), student);
    plain.kind = kind;
    plain.backends = backends;
    Case& distilled = steps(fmt::format("student {}, Adam, distillation", config), student);
    distilled.kind = kind;
    distilled.objective = {0.1F, 3.0F, 0.0F};
    distilled.backends = {"cpu"};
  }
  Case& sgd = steps("student 2,1,16,1,64, SGD", graph::graph_from_config("2,1,16,1,64", image, 10));
  sgd.optimizer.kind = engine::OptimizerKind::Sgd;
  sgd.optimizer.weight_decay = 0.01F;
  sgd.rate = 0.02F;
  sgd.backends = {"cpu"};
  Case& teacher = steps("teacher, Adam", without_dropout(graph::teacher_graph(image, 10)));
  teacher.kind = "forced";
  teacher.backends = {"cpu"};
  // Ten steps that are short enough not to be chaotic.
  Case& free = steps("teacher, Adam", without_dropout(graph::teacher_graph(image, 10)));
  free.rate = 1e-5F;
  free.backends = {"cpu"};
  return cases;
}

// Stripes under noise, whose width and direction tell the label. Pure noise would make all images nearly
// alike to the deeper layers, and training a matter of rounding.
void draw_image(const graph::Shape& shape, uint16_t label, Rng& rng, std::span<uint8_t> image) {
  const float across = rng.uniform(0.2F, 0.4F) * static_cast<float>(label % 4 + 1);
  const float down = rng.uniform(0.2F, 0.4F) * static_cast<float>(label / 4 % 4 + 1);
  const float start = rng.uniform(0, 6.2831853F);
  for (int i = 0; i < shape.size(); ++i) {
    const int pixel = i / shape.channels;
    const float wave = std::sin(start + across * static_cast<float>(pixel % shape.width) +
                                down * static_cast<float>(pixel / shape.width));
    image[i] = static_cast<uint8_t>(128 + 80 * wave + rng.uniform(-40, 40));
  }
}

template <typename T>
std::span<const uint8_t> bytes_of(std::span<const T> values) {
  return {reinterpret_cast<const uint8_t*>(values.data()), values.size_bytes()};
}

struct Batches {
  std::vector<uint8_t> images;
  std::vector<uint16_t> labels;
  std::vector<float> teacher;

  Batches(const Case& job, size_t index) {
    const auto count = static_cast<size_t>(job.batch) * static_cast<size_t>(job.steps);
    const auto image_bytes = static_cast<size_t>(job.graph.input_shape().size());
    const auto classes = static_cast<size_t>(job.graph.classes());
    images.resize(count * image_bytes);
    labels.resize(count);
    teacher.resize(count * classes);
    Rng rng = Rng(7).fork("batches", index);
    for (size_t i = 0; i < count; ++i) {
      labels[i] = static_cast<uint16_t>(rng.below(static_cast<uint32_t>(classes)));
      draw_image(job.graph.input_shape(), labels[i], rng,
                 std::span(images).subspan(i * image_bytes, image_bytes));
    }
    for (float& logit : teacher) logit = 3 * rng.normal();
  }

  [[nodiscard]] engine::Batch at(const Case& job, int step) const {
    const auto size = static_cast<size_t>(job.batch);
    const size_t first = static_cast<size_t>(step) * size;
    const auto image_bytes = static_cast<size_t>(job.graph.input_shape().size());
    const auto classes = static_cast<size_t>(job.graph.classes());
    return {std::span(images).subspan(first * image_bytes, size * image_bytes),
            std::span(labels).subspan(first, size),
            std::span(teacher).subspan(first * classes, size * classes)};
  }
};

std::unique_ptr<engine::Network> compile(const Case& job, const std::string& backend) {
  auto network =
      engine::backend(backend).compile(job.graph, {.batch_size = job.batch, .optimizer = job.optimizer});
  network->set_parameters(job.parameters);
  return network;
}

Json run(const Case& job, size_t index, const std::filesystem::path& folder) {
  const auto keep = [&](const std::string& what, std::span<const uint8_t> bytes) {
    const std::string name = fmt::format("{:03}.{}", index, what);
    write_file_atomic(folder / name, bytes);
    return name;
  };
  const Batches batches(job, index);

  Json specs = Json::array();
  for (const graph::ParameterSpec& spec : job.parameters.specs())
    specs.push_back(
        {{"node", spec.node}, {"role", role_names[static_cast<size_t>(spec.role)]}, {"dims", spec.dims}});
  Json results;
  for (const std::string& name : job.backends) {
    if (job.kind == "forced") {
      results[name] = nullptr;
      continue;
    }
    const auto network = compile(job, name);
    Json losses = Json::array();
    std::string gradients;
    Rng unused(0);
    for (int step = 0; step < job.steps; ++step) {
      losses.push_back(network->compute_gradients(batches.at(job, step), job.objective, unused).loss);
      if (step == (job.kind == "quantised" ? job.steps - 1 : 0)) {
        const graph::Parameters values = network->gradients();
        gradients = keep(name + ".gradients", bytes_of(values.values()));
      }
      network->apply_gradients(job.rate);
    }
    const graph::Parameters after = network->parameters();
    results[name] = {{"losses", losses},
                     {"gradients", gradients},
                     {"after", keep(name + ".after", bytes_of(after.values()))}};
  }
  return {{"name", job.name},
          {"kind", job.kind},
          {"graph", Json::parse(graph::graph_to_json(job.graph))},
          {"specs", specs},
          {"classes", job.graph.classes()},
          {"logits", job.graph.logits()},
          {"batch", job.batch},
          {"steps", job.steps},
          {"rate", job.rate},
          {"alpha", job.objective.alpha},
          {"temperature", job.objective.temperature},
          {"label_smoothing", job.objective.label_smoothing},
          {"optimizer", job.optimizer.kind == engine::OptimizerKind::Adam ? "adam" : "sgd"},
          {"epsilon", job.optimizer.epsilon},
          {"momentum", job.optimizer.momentum},
          {"weight_decay", job.optimizer.weight_decay},
          {"images", keep("images", batches.images)},
          {"labels", keep("labels", bytes_of(std::span<const uint16_t>(batches.labels)))},
          {"teacher", keep("teacher", bytes_of(std::span<const float>(batches.teacher)))},
          {"parameters", keep("parameters", bytes_of(job.parameters.values()))},
          {"results", results}};
}

// Takes the next numbers of a file.
void take(std::span<const uint8_t>& bytes, graph::Parameters& parameters) {
  const std::span<float> values = parameters.values();
  if (bytes.size() < values.size_bytes()) throw_usage("a state has too few numbers");
  std::memcpy(values.data(), bytes.data(), values.size_bytes());
  bytes = bytes.subspan(values.size_bytes());
}

Json run_forced(const Case& job, size_t index, const std::filesystem::path& folder) {
  const Batches batches(job, index);
  Json results;
  for (const std::string& name : job.backends) {
    const auto network = compile(job, name);
    Json losses = Json::array();
    Json after = Json::array();
    Rng unused(0);
    for (int step = 0; step < job.steps; ++step) {
      const std::vector<uint8_t> file = read_file(folder / fmt::format("{:03}.state.{}", index, step));
      std::span<const uint8_t> bytes = file;
      graph::Parameters parameters(job.graph);
      engine::OptimizerState state{step, parameters, parameters};
      take(bytes, parameters);
      take(bytes, state.first);
      take(bytes, state.second);
      network->set_parameters(parameters);
      network->set_optimizer_state(state);
      losses.push_back(network->train_step(batches.at(job, step), job.objective, job.rate, unused).loss);
      after.push_back(fmt::format("{:03}.{}.after.{}", index, name, step));
      const graph::Parameters updated = network->parameters();
      write_file_atomic(folder / after.back().get<std::string>(), bytes_of(updated.values()));
    }
    results[name] = {{"losses", losses}, {"after", after}};
  }
  return results;
}

}  // namespace
}  // namespace retort

int main(int argc, char** argv) {
  try {
    const bool forced = argc == 3 && std::string_view(argv[2]) == "forced";
    if (argc != 2 && !forced) {
      fmt::print(stderr, "usage: conformance_torch_training FOLDER [forced]\n");
      return 2;
    }
    const std::filesystem::path folder = argv[1];
    const std::vector<retort::Case> cases = retort::all_cases();
    retort::Json list = retort::Json::array();
    for (size_t i = 0; i < cases.size(); ++i) {
      if (!forced)
        list.push_back(retort::run(cases[i], i, folder));
      else if (cases[i].kind == "forced")
        list.push_back(retort::run_forced(cases[i], i, folder));
    }
    retort::write_text_atomic(folder / (forced ? "forced.json" : "cases.json"), list.dump());
    return 0;
  } catch (const std::exception& error) {
    fmt::print(stderr, "{}\n", error.what());
    return 1;
  }
}
