// retort bench: how fast this machine trains, and how near that is to its limit.
#include <atomic>
#include <barrier>
#include <chrono>
#include <memory>
#include <nlohmann/json.hpp>
#include <thread>

#include "base/error.h"
#include "base/parallel.h"
#include "base/units.h"
#include "cli/commands.h"
#include "cli/interrupt.h"
#include "cli/options.h"
#include "cli/terminal.h"
#include "data/views.h"
#include "engine/kernels/peak.h"
#include "engine/network.h"
#include "graph/reference_networks.h"

namespace retort::cli {
namespace {

using Clock = std::chrono::steady_clock;

struct BenchCommand {
  std::vector<std::string> nets;
  int batch = 32;
  double seconds = 2;
  int threads = 0;
  OutputOptions output;
};

double seconds_since(Clock::time_point start) {
  return std::chrono::duration<double>(Clock::now() - start).count();
}

// The multiply-adds of training on one image, as is customary: forward, gradient of the weights and gradient
// of the input each cost the forward's, and the first layer's input needs no gradient.
double training_macs(const graph::Graph& graph) {
  double macs = 0;
  bool first = true;
  for (int node = 0; node < graph.size(); ++node) {
    const auto forward = static_cast<double>(graph::node_macs(graph, node));
    if (forward == 0) continue;
    macs += (first ? 2 : 3) * forward;
    first = false;
  }
  return macs;
}

// Random images, held once for all workers.
struct BenchImages {
  explicit BenchImages(const graph::Graph& graph)
      : shape{graph.input_shape().height, graph.input_shape().width, graph.input_shape().channels} {
    Rng rng(1);
    const size_t count = 2048;
    pixels.resize(count * shape.bytes());
    for (uint8_t& byte : pixels) byte = static_cast<uint8_t>(rng.next_u32());
    for (size_t i = 0; i < count; ++i)
      labels.push_back(static_cast<uint16_t>(rng.below(static_cast<uint32_t>(graph.classes()))));
  }
  data::ImageShape shape;
  std::vector<uint8_t> pixels;
  std::vector<uint16_t> labels;
};

// One candidate: gathers random images, mirrored or not, and trains on them.
class Candidate {
 public:
  Candidate(const graph::Graph& graph, const BenchImages& images, int batch, int threads, uint64_t seed)
      : images_(images),
        network_(
            engine::backend().compile(graph, {.batch_size = batch, .threads = threads, .optimizer = {}})),
        rng_(seed),
        pixels_(static_cast<size_t>(batch) * images.shape.bytes()),
        labels_(static_cast<size_t>(batch)) {
    network_->set_parameters(graph::initialize(graph, rng_));
  }

  void step() {
    const size_t bytes = images_.shape.bytes();
    for (size_t i = 0; i < labels_.size(); ++i) {
      const uint32_t draw = rng_.next_u32();
      const size_t image = (draw >> 1U) % images_.labels.size();
      labels_[i] = images_.labels[image];
      data::write_view({images_.pixels.data() + image * bytes, bytes}, images_.shape,
                       static_cast<int>(draw & 1U), {pixels_.data() + i * bytes, bytes});
    }
    network_->train_step({pixels_, labels_, {}}, {}, 1e-3F, rng_);
  }

  [[nodiscard]] int64_t memory_bytes() const { return network_->memory_bytes(); }

 private:
  const BenchImages& images_;
  std::unique_ptr<engine::Network> network_;
  Rng rng_;
  std::vector<uint8_t> pixels_;
  std::vector<uint16_t> labels_;
};

struct Measurement {
  double images_per_second = 0;
  int64_t memory_bytes = 0;    // of one network
  double compile_seconds = 0;  // of the last network, when the primitives of the first are known
  int networks = 1;            // trained at once
};

// `networks` at once, each on `threads` threads. The time is cut into parts; the best counts, since other
// programs may disturb some.
Measurement measure(const graph::Graph& graph, int batch, int networks, int threads, double seconds) {
  constexpr int parts = 4;
  const BenchImages images(graph);
  Measurement result;
  result.networks = networks;
  std::vector<std::unique_ptr<Candidate>> candidates;
  for (int i = 0; i < networks; ++i) {
    const auto start = Clock::now();
    candidates.push_back(
        std::make_unique<Candidate>(graph, images, batch, threads, static_cast<uint64_t>(i)));
    result.compile_seconds = seconds_since(start);
  }
  result.memory_bytes = candidates.front()->memory_bytes();
  std::vector<std::array<double, parts>> speeds(candidates.size());
  std::barrier together(networks);
  const auto work = [&](size_t which) {
    for (int i = 0; i < 3; ++i) candidates[which]->step();
    for (double& speed : speeds[which]) {
      together.arrive_and_wait();
      const auto start = Clock::now();
      double trained = 0;
      double passed = 0;
      do {
        candidates[which]->step();
        trained += batch;
        passed = seconds_since(start);
      } while (passed < seconds / parts && !interrupt_token().stop_requested());
      speed = trained / passed;
    }
  };
  std::vector<std::jthread> workers;
  for (size_t i = 1; i < candidates.size(); ++i) workers.emplace_back(work, i);
  work(0);
  workers.clear();
  if (interrupt_token().stop_requested())
    throw Error(ErrorCode::Interrupted, "the measurement was interrupted");
  for (int part = 0; part < parts; ++part) {
    double sum = 0;
    for (const auto& speed : speeds) sum += speed[static_cast<size_t>(part)];
    result.images_per_second = std::max(result.images_per_second, sum);
  }
  return result;
}

// Of `cores` cores at once: clocks fall when all are busy.
double peak_of_cores(int cores) {
  std::vector<double> peaks(static_cast<size_t>(cores));
  {
    std::vector<std::jthread> workers;
    for (double& peak : peaks)
      workers.emplace_back([&peak] { peak = engine::kernels::multiply_add_peak(0.3); });
  }
  double sum = 0;
  for (const double peak : peaks) sum += peak;
  return sum;
}

void run(const BenchCommand& command) {
  Terminal terminal(command.output);
  const int cores = resolve_threads(command.threads);
  const double peak = peak_of_cores(cores);
  std::string text =
      fmt::format("float32 multiply-add peak: {:.0f} GFLOP/s on {} cores\n\n", peak * 1e-9, cores);
  text += fmt::format("{:<12} {:>6} {:>9} {:>8} {:>11} {:>6} {:>10} {:>10}\n", "network", "batch", "networks",
                      "threads", "images/s", "peak", "memory", "compile");
  nlohmann::json json = nlohmann::json::array();
  double done = 0;
  for (const std::string& net : command.nets) {
    terminal.update("measuring", done++, static_cast<double>(command.nets.size()), net);
    const graph::Graph graph = graph::reference_network(net);
    // The teacher trains alone on all cores; of the others, each core trains one.
    const bool alone = net == "teacher";
    const Measurement found =
        measure(graph, command.batch, alone ? 1 : cores, alone ? cores : 1, command.seconds);
    const double fraction = found.images_per_second * training_macs(graph) * 2 / peak;
    const int threads = alone ? cores : 1;
    json.push_back({{"net", net},
                    {"batch", command.batch},
                    {"threads", cores},
                    {"networks", found.networks},
                    {"precision", "float32"},
                    {"images_per_second", found.images_per_second},
                    {"fma_fraction", fraction},
                    {"memory_bytes", found.memory_bytes},
                    {"compile_seconds", found.compile_seconds}});
    text +=
        fmt::format("{:<12} {:>6} {:>9} {:>8} {:>11} {:>5.0f}% {:>10} {:>8.1f}ms\n", net, command.batch,
                    found.networks, threads, format_integer(static_cast<int64_t>(found.images_per_second)),
                    fraction * 100, format_bytes(found.memory_bytes), found.compile_seconds * 1e3);
  }
  terminal.finish("measuring");
  terminal.result_json(json);
  terminal.result(text);
}

}  // namespace

void add_bench_command(CLI::App& app) {
  CLI::App* bench = app.add_subcommand("bench", "Measure this machine");
  bench->require_subcommand(1);
  CLI::App* sub = bench->add_subcommand(
      "train", "Training speed of the reference networks: images/s of one network on each core");
  const auto command = std::make_shared<BenchCommand>();
  for (const std::string& name : graph::reference_network_names())
    if (name != "autoencoder") command->nets.push_back(name);  // what it trains on is not labels
  add_parsed(*sub, "--nets", "NAME,…", "networks to measure", "all", [command](const std::string& text) {
    command->nets.clear();
    for (size_t begin = 0; begin <= text.size();) {
      const size_t end = std::min(text.find(',', begin), text.size());
      command->nets.push_back(text.substr(begin, end - begin));
      graph::reference_network(command->nets.back());
      begin = end + 1;
    }
  });
  add_integer(*sub, "--batch", command->batch, 1, 4096, "images of a step");
  add_number(*sub, "--seconds", command->seconds, 0.01, 3600, "time for each network");
  add_threads_option(*sub, command->threads);
  add_output_options(*sub, command->output);
  add_examples(*sub, {"retort bench train", "retort bench train --nets s21_16,teacher --batch 128 --json"});
  sub->callback([command] { run(*command); });
}

}  // namespace retort::cli
