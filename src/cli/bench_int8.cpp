// retort bench int8: how fast the int8 evaluator judges networks.
#include <algorithm>
#include <chrono>
#include <filesystem>
#include <limits>
#include <memory>

#include "base/error.h"
#include "base/file.h"
#include "base/json.h"
#include "base/rng.h"
#include "base/units.h"
#include "cli/bench.h"
#include "cli/interrupt.h"
#include "cli/options.h"
#include "cli/terminal.h"
#include "graph/quantized_form.h"
#include "graph/reference_networks.h"
#include "int8/evaluate.h"
#include "int8/evaluator.h"
#include "int8/lower.h"
#include "int8/tflite.h"

namespace retort::cli {
namespace {

using Clock = std::chrono::steady_clock;

struct BenchInt8Command {
  std::vector<std::filesystem::path> files;
  std::vector<std::string> nets;
  std::filesystem::path folder;  // empty: write nothing
  double seconds = 1;
  OutputOptions output;
};

constexpr size_t kJudgedImages = 10'000;

struct Named {
  std::string name;
  int8::QuantGraph network;
};

// Random weights, and ranges such as trained networks have: the speed does not depend on what the numbers
// are.
int8::QuantGraph reference_file(const std::string& name) {
  const graph::Graph network = graph::reference_network(name);
  graph::QuantizedForm form = graph::quantized_form(network, graph::initialize(network, Rng(1)));
  for (const graph::ParameterSpec& spec : form.parameters.specs()) {
    if (spec.role != graph::Role::Range) continue;
    const graph::Operator& before = form.graph.node(form.graph.node(spec.node).inputs[0]).op;
    if (std::holds_alternative<graph::Input>(before)) continue;
    const auto range = form.parameters.at(spec.node, spec.role);
    range[0] = std::holds_alternative<graph::Relu>(before) ? 0.0F : -6.0F;
    range[1] = 6.0F;
  }
  return int8::lower(form.graph, form.parameters, {});
}

std::vector<uint8_t> random_images(const int8::Evaluator& evaluator) {
  std::vector<uint8_t> images(measured_images(evaluator.image_bytes()) * evaluator.image_bytes());
  Rng rng(1);
  for (uint8_t& byte : images) byte = static_cast<uint8_t>(rng.next_u32());
  return images;
}

// Of one thread: the best of many short stretches, since other programs disturb most of them on a busy
// machine, but not all.
double images_per_second(int8::Evaluator& evaluator, std::span<const uint8_t> images, double seconds) {
  constexpr double stretch_seconds = 2e-3;
  const size_t most = images.size() / evaluator.image_bytes();
  std::vector<int8_t> outputs(most * evaluator.outputs());
  size_t count = std::min<size_t>(8, most);
  double best = 0;
  double passed = 0;
  const auto start = Clock::now();
  do {
    const double before = passed;
    evaluator.run(images.first(count * evaluator.image_bytes()), count,
                  std::span(outputs).first(count * evaluator.outputs()));
    passed = std::chrono::duration<double>(Clock::now() - start).count();
    best = std::max(best, static_cast<double>(count) / (passed - before));
    if (passed - before < stretch_seconds) count = std::min(count * 2, most);
  } while (passed < seconds && !interrupt_token().stop_requested());
  if (interrupt_token().stop_requested())
    throw Error(ErrorCode::Interrupted, "the measurement was interrupted");
  return best;
}

// For as many images as a search judges a candidate by, on all cores; the best of three.
double judging_seconds(int8::Evaluator& evaluator, std::span<const uint8_t> images) {
  std::vector<uint32_t> indices(kJudgedImages);
  for (size_t i = 0; i < indices.size(); ++i)
    indices[i] = static_cast<uint32_t>(i % (images.size() / evaluator.image_bytes()));
  double best = std::numeric_limits<double>::infinity();
  for (int i = 0; i < 3; ++i) {
    const auto start = Clock::now();
    int8::run_all(evaluator, {images, indices}, 0, [](size_t) {
      if (interrupt_token().stop_requested())
        throw Error(ErrorCode::Interrupted, "the measurement was interrupted");
    });
    best = std::min(best, std::chrono::duration<double>(Clock::now() - start).count());
  }
  return best;
}

void run(const BenchInt8Command& command) {
  Terminal terminal(command.output);
  std::vector<Named> networks;
  for (const std::filesystem::path& file : command.files)
    networks.push_back(
        {file.stem().string(), int8::read_tflite(read_file(file, int8::kMostTfliteBytes), file.string())});
  if (command.files.empty())
    for (const std::string& name : command.nets) networks.push_back({name, reference_file(name)});
  if (!command.folder.empty()) std::filesystem::create_directories(command.folder);

  std::string text = fmt::format("{:<16} {:>12} {:>14} {:>10} {:>16}\n", "network", "images/s", "macs",
                                 "macs/s", "10,000 images");
  Json json = Json::array();
  double done = 0;
  for (const auto& [name, network] : networks) {
    terminal.update("measuring", done++, static_cast<double>(networks.size()), name);
    if (!command.folder.empty())
      write_file_atomic(command.folder / (name + ".tflite"), int8::write_tflite(network));
    int64_t macs = 0;
    for (const int8::Operator& op : network.operators) macs += int8::operator_macs(network, op);
    int8::Evaluator evaluator(network);
    const std::vector<uint8_t> images = random_images(evaluator);
    const double speed = images_per_second(evaluator, images, command.seconds);
    const double judging = judging_seconds(evaluator, images);
    json.push_back({{"framework", "retort"},
                    {"net", name},
                    {"threads", 1},
                    {"images_per_second", speed},
                    {"macs", macs},
                    {"judged_images", kJudgedImages},
                    {"judging_seconds", judging}});
    text += fmt::format("{:<16} {:>12} {:>14} {:>9.1f}G {:>14.1f}ms\n", name,
                        format_integer(static_cast<int64_t>(speed)), format_integer(macs),
                        speed * static_cast<double>(macs) * 1e-9, judging * 1e3);
  }
  terminal.finish("measuring");
  terminal.result_json(json);
  terminal.result(text);
}

}  // namespace

size_t measured_images(size_t image_bytes) {
  constexpr size_t kMostImages = 4096;
  constexpr size_t kMostBytes = size_t{1} << 22U;
  return std::clamp<size_t>(kMostBytes / image_bytes, 1, kMostImages);
}

void add_bench_int8_command(CLI::App& bench) {
  CLI::App* sub = bench.add_subcommand("int8",
                                       "Speed of the int8 evaluator on the reference networks or on files: "
                                       "images/s of one thread, and the time "
                                       "that all cores take for 10,000 images");
  const auto command = std::make_shared<BenchInt8Command>();
  command->nets = graph::reference_network_names();
  sub->add_option("files", command->files,
                  "int8 networks, ours or anyone's, instead of the reference networks")
      ->type_name("FILE.tflite");
  add_names(*sub, "--nets", command->nets, "reference networks to measure, with random weights");
  add_output_path(*sub, "--write", command->folder, "DIR",
                  "write the networks there as NAME.tflite, for others");
  add_number(*sub, "--seconds", command->seconds, 0.01, 3600, "time for each network");
  add_output_options(*sub, command->output);
  add_examples(*sub, {"retort bench int8", "retort bench int8 best/model.tflite --json",
                      "retort bench int8 --nets resnet8,dscnn --write nets && python3 "
                      "bench/peers/litert_throughput.py nets/*.tflite"});
  sub->callback([command, sub] {
    if (!command->files.empty())
      refuse_without_effect(*sub, {"--nets"}, "files are measured instead of the reference networks");
    run(*command);
  });
}

}  // namespace retort::cli
