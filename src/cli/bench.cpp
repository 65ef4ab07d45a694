// retort bench: how fast this machine trains, and how near that is to its limit.
#include <algorithm>
#include <array>
#include <barrier>
#include <charconv>
#include <chrono>
#include <functional>
#include <memory>
#include <numeric>
#include <optional>

#include "base/error.h"
#include "base/json.h"
#include "base/parallel.h"
#include "base/units.h"
#include "cli/bench.h"
#include "cli/commands.h"
#include "cli/interrupt.h"
#include "cli/options.h"
#include "cli/terminal.h"
#include "data/preprocess.h"
#include "data/views.h"
#include "engine/kernels/peak.h"
#include "engine/network.h"
#include "engine/onednn/onednn.h"
#include "graph/reference_networks.h"

namespace retort::cli {
namespace {

using Clock = std::chrono::steady_clock;

enum class Loss { Labels, LabelsAndTeacher };

struct BenchCommand {
  Loss loss = Loss::Labels;
  std::vector<std::string> nets;
  int batch = 32;
  double seconds = 2;
  int threads = 0;
  engine::Precision precision = engine::Precision::Float32;
  DataOptions data;
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

// Most bytes that images take once they have a network's shape: of large ones not all are used.
constexpr size_t kMostImageBytes = size_t{256} << 20U;

data::ImageShape shape_of(const graph::Graph& graph) {
  return {graph.input_shape().height, graph.input_shape().width, graph.input_shape().channels};
}

// The set's images in another shape: grey for one channel, otherwise its channels in turn.
data::ImageSet reshaped(const data::ImageSet& from, data::ImageShape shape) {
  data::ImageSet to;
  to.shape = shape;
  const size_t count = std::clamp<size_t>(kMostImageBytes / shape.bytes(), 1, from.count());
  to.labels.assign(from.labels.begin(), from.labels.begin() + static_cast<std::ptrdiff_t>(count));
  to.pixels.resize(count * shape.bytes());
  const data::ImageShape large{from.shape.height, from.shape.width, shape.channels};
  parallel_for(count, 256, 0, [&](size_t index) {
    const std::span<const uint8_t> image = from.image(index);
    std::vector<uint8_t> pixels(large.bytes());
    const auto has = static_cast<size_t>(from.shape.channels);
    const auto wanted = static_cast<size_t>(shape.channels);
    if (has == 3 && wanted == 1)
      data::to_gray(image, pixels);
    else
      for (size_t i = 0; i < pixels.size(); ++i) pixels[i] = image[i / wanted * has + i % wanted % has];
    data::resize(pixels, large, {to.pixels.data() + index * shape.bytes(), shape.bytes()}, shape);
  });
  return to;
}

data::ImageSet random_images(data::ImageShape shape) {
  Rng rng(1);
  data::ImageSet images;
  images.shape = shape;
  const size_t count = 2048;
  images.pixels.resize(count * shape.bytes());
  for (uint8_t& byte : images.pixels) byte = static_cast<uint8_t>(rng.next_u32());
  for (size_t i = 0; i < count; ++i) images.labels.push_back(static_cast<uint16_t>(rng.next_u32()));
  return images;
}

// Images in a network's shape, held once for all that train at the same time and for the next of that shape.
class BenchImages {
 public:
  explicit BenchImages(std::shared_ptr<const data::Dataset> dataset) : dataset_(std::move(dataset)) {}

  const data::ImageSet& of_shape(data::ImageShape shape) {
    if (images_.shape != shape) {
      images_ = {};  // before the next take their memory
      images_ = dataset_ ? reshaped(dataset_->train, shape) : random_images(shape);
    }
    return images_;
  }

 private:
  std::shared_ptr<const data::Dataset> dataset_;  // none: random bytes
  data::ImageSet images_;
};

// Figures of earlier versions are of these: all that --mirror and --shift 2 choose.
constexpr data::ViewOptions kViews{.mirror = data::Mirror::Horizontal, .max_shift = 2};

// One candidate: draws images and views of them as training does, and trains on them.
class Candidate {
 public:
  Candidate(const graph::Graph& graph, const data::ImageSet& images, const engine::CompileOptions& options,
            const engine::TeacherLogits* teacher, uint64_t seed)
      : images_(images),
        teacher_(teacher),
        rng_(seed),
        pixels_(static_cast<size_t>(options.batch_size) * images.shape.bytes()),
        labels_(static_cast<size_t>(options.batch_size)),
        logits_(teacher == nullptr ? 0 : labels_.size() * static_cast<size_t>(graph.classes())),
        classes_(static_cast<uint16_t>(graph.classes())) {
    const auto start = Clock::now();
    network_ = engine::backend().compile(graph, options);
    compile_seconds_ = seconds_since(start);
    network_->set_parameters(graph::initialize(graph, rng_));
  }

  void step() {
    const size_t bytes = images_.shape.bytes();
    for (size_t i = 0; i < labels_.size(); ++i) {
      const size_t image = rng_.below(static_cast<uint32_t>(images_.count()));
      labels_[i] = images_.labels[image] % classes_;
      const auto view = static_cast<int>(rng_.below(static_cast<uint32_t>(views_.size())));
      if (teacher_ != nullptr) teacher_->fetch(image, view);
      data::write_view(images_.image(image), images_.shape, views_[static_cast<size_t>(view)],
                       {pixels_.data() + i * bytes, bytes});
      if (teacher_ != nullptr) {
        const auto row = teacher_->row(image, view);
        std::ranges::copy(row, logits_.begin() + static_cast<std::ptrdiff_t>(i * row.size()));
      }
    }
    constexpr engine::Objective distilling{.alpha = 0.1F, .temperature = 3};  // the notebook's
    network_->train_step({pixels_, labels_, logits_}, teacher_ == nullptr ? engine::Objective{} : distilling,
                         1e-3F, rng_);
  }

  [[nodiscard]] int64_t memory_bytes() const { return network_->memory_bytes(); }
  [[nodiscard]] double compile_seconds() const { return compile_seconds_; }

 private:
  const data::ImageSet& images_;
  const engine::TeacherLogits* teacher_;  // or null: trained on the labels alone
  std::vector<int> views_ = data::view_numbers(kViews);
  std::unique_ptr<engine::Network> network_;
  double compile_seconds_ = 0;
  Rng rng_;
  std::vector<uint8_t> pixels_;
  std::vector<uint16_t> labels_;
  std::vector<float> logits_;
  uint16_t classes_;
};

// Answers to those views of all images, as a teacher's would be kept.
engine::TeacherLogits random_logits(size_t images, int classes) {
  engine::TeacherLogits logits{.classes = classes, .images = images, .views = data::view_numbers(kViews)};
  logits.values.resize(images * logits.views.size() * static_cast<size_t>(classes));
  Rng rng(2);
  for (float& value : logits.values) value = rng.uniform(-4.0F, 4.0F);
  return logits;
}

struct Measurement {
  double images_per_second = 0;
  int64_t memory_bytes = 0;          // of one network
  double first_compile_seconds = 0;  // of this structure in this process
  double compile_seconds = 0;        // of one made after it
  int networks = 1;                  // trained at once
};

// `networks` at once, each on its own threads. The time is cut into parts; the best counts, since other
// programs may disturb some.
Measurement measure(const graph::Graph& graph, const data::ImageSet& images,
                    const engine::CompileOptions& options, const engine::TeacherLogits* teacher, int networks,
                    double seconds) {
  constexpr int parts = 4;
  Measurement result;
  result.networks = networks;
  // One after the other, as in a search: the second has the primitives and the memory of the first.
  result.first_compile_seconds = Candidate(graph, images, options, teacher, 0).compile_seconds();
  result.compile_seconds = Candidate(graph, images, options, teacher, 0).compile_seconds();
  std::vector<std::unique_ptr<Candidate>> candidates;
  for (int i = 0; i < networks; ++i)
    candidates.push_back(
        std::make_unique<Candidate>(graph, images, options, teacher, static_cast<uint64_t>(i)));
  result.memory_bytes = candidates.front()->memory_bytes();
  std::vector<std::array<double, parts>> speeds(candidates.size());
  all_at_once(candidates.size(), [&](size_t which, std::barrier<>& together) {
    for (int i = 0; i < 3; ++i) candidates[which]->step();
    for (double& speed : speeds[which]) {
      together.arrive_and_wait();
      const auto start = Clock::now();
      double trained = 0;
      double passed = 0;
      do {
        candidates[which]->step();
        trained += options.batch_size;
        passed = seconds_since(start);
      } while (passed < seconds / parts && !interrupt_token().stop_requested());
      speed = trained / passed;
    }
  });
  if (interrupt_token().stop_requested())
    throw Error(ErrorCode::Interrupted, "the measurement was interrupted");
  for (int part = 0; part < parts; ++part) {
    double sum = 0;
    for (const auto& speed : speeds) sum += speed[static_cast<size_t>(part)];
    result.images_per_second = std::max(result.images_per_second, sum);
  }
  return result;
}

// The sum over `cores` cores at once, since clocks fall when all are busy.
double peak_of_cores(int cores, const std::function<double(double)>& peak_of_core) {
  constexpr double seconds = 0.3;
  std::vector<double> peaks(static_cast<size_t>(cores));
  all_at_once(peaks.size(), [&](size_t core, std::barrier<>&) { peaks[core] = peak_of_core(seconds); });
  return std::accumulate(peaks.begin(), peaks.end(), 0.0);
}

struct Row {
  std::string net;
  int threads = 1;  // of each network
  double fraction = 0;
  Measurement found;
};

// "s21_27" and "ds27" have the width 27; other networks have none.
std::optional<int> width_of(std::string_view net) {
  const size_t digits = net.starts_with("s21_") ? 4 : net.starts_with("ds") ? 2 : net.size();
  int width = 0;
  const auto [end, error] = std::from_chars(net.data() + digits, net.data() + net.size(), width);
  if (error != std::errc{} || end != net.data() + net.size()) return std::nullopt;
  return width;
}

// For widths that fill no register: their speed as a share of that of the next widths that do.
std::string padding_lines(const std::vector<Row>& rows) {
  std::string text;
  for (const Row& row : rows) {
    const auto width = width_of(row.net);
    if (!width) continue;
    const std::string family = row.net.substr(0, row.net.size() - std::to_string(*width).size());
    std::string shares;
    for (const int block : {8, 16}) {
      const int padded = (*width + block - 1) / block * block;
      const auto other = std::ranges::find(rows, fmt::format("{}{}", family, padded), &Row::net);
      if (padded == *width || other == rows.end() || shares.find(other->net) != std::string::npos) continue;
      shares += fmt::format("{}{:.0f}% of {}'s", shares.empty() ? "" : ", ",
                            100 * row.found.images_per_second / other->found.images_per_second, other->net);
    }
    if (!shares.empty()) text += fmt::format("{:<12} {}\n", row.net, shares);
  }
  return text.empty() ? text
                      : "\nimages/s beside those of the next width that is a multiple of 8 or 16\n" + text;
}

std::string compile_line(const std::vector<Row>& rows) {
  const auto slowest = [&](double Measurement::* seconds) {
    const Row& row =
        *std::ranges::max_element(rows, {}, [&](const Row& each) { return each.found.*seconds; });
    return fmt::format("{:.1f} ms ({})", row.found.*seconds * 1e3, row.net);
  };
  return fmt::format("\ncompiling took at most {} at first, {} again\n",
                     slowest(&Measurement::first_compile_seconds), slowest(&Measurement::compile_seconds));
}

void run(const BenchCommand& command) {
  Terminal terminal(command.output);
  BenchImages images(command.data.spec.empty() ? nullptr : load(command.data, terminal));
  const int cores = resolve_threads(command.threads);
  const bool narrow = command.precision == engine::Precision::Bfloat16;
  if (narrow && !engine::onednn::multiplies_bfloat16())
    throw_usage(
        "--precision: this CPU does not multiply bfloat16 quicker than float32 (or ONEDNN_MAX_CPU_ISA "
        "forbids it)");
  // With the first backend our own kernels follow ONEDNN_MAX_CPU_ISA, and so does the peak.
  static_cast<void>(engine::backend());
  const double peak = peak_of_cores(cores, engine::kernels::multiply_add_peak);
  double bfloat16_peak = 0;
  if (engine::onednn::multiplies_bfloat16())
    bfloat16_peak = peak_of_cores(cores, [](double seconds) {
      return engine::kernels::bfloat16_multiply_add_peak(seconds).value_or(0);
    });
  std::string text =
      fmt::format("float32 multiply-add peak: {:.0f} GFLOP/s on {} cores\n", peak * 1e-9, cores);
  text += bfloat16_peak > 0
              ? fmt::format("bfloat16 multiply-add peak: {:.0f} GFLOP/s\n\n", bfloat16_peak * 1e-9)
              : "no bfloat16: this CPU has no AVX512_BF16, or ONEDNN_MAX_CPU_ISA forbids it\n\n";
  const std::string instructions = engine::onednn::instruction_set();
  text += fmt::format("trained in {} ({}), shares of that peak\n", engine::to_string(command.precision),
                      instructions);
  text += fmt::format("{:<12} {:>6} {:>9} {:>8} {:>11} {:>6} {:>10} {:>10} {:>10}\n", "network", "batch",
                      "networks", "threads", "images/s", "peak", "memory", "compile", "again");
  Json json = Json::array();
  std::string distilled_lines;
  std::vector<Row> rows;
  for (const std::string& net : command.nets) {
    terminal.update("measuring", static_cast<double>(rows.size()), static_cast<double>(command.nets.size()),
                    net);
    const graph::Graph graph = graph::reference_network(net);
    // The teacher trains alone on all cores; of the others, each core trains one.
    const bool alone = net == "teacher";
    Row row{.net = net, .threads = alone ? cores : 1};
    const engine::CompileOptions options{
        .batch_size = command.batch, .threads = row.threads, .precision = command.precision, .optimizer = {}};
    const data::ImageSet& set = images.of_shape(shape_of(graph));
    row.found = measure(graph, set, options, nullptr, alone ? 1 : cores, command.seconds);
    const Measurement& found = row.found;
    Json distilled;
    if (command.loss == Loss::LabelsAndTeacher) {
      const engine::TeacherLogits teacher = random_logits(set.count(), graph.classes());
      const double speed =
          measure(graph, set, options, &teacher, alone ? 1 : cores, command.seconds).images_per_second;
      distilled = speed;
      distilled_lines +=
          fmt::format("{:<12} {:>11} {:>6.1f}%\n", net, format_integer(static_cast<int64_t>(speed)),
                      100 * speed / found.images_per_second);
    }
    row.fraction = found.images_per_second * training_macs(graph) * 2 / (narrow ? bfloat16_peak : peak);
    json.push_back({{"net", net},
                    {"batch", command.batch},
                    {"threads", cores},
                    {"networks", found.networks},
                    {"precision", engine::to_string(command.precision)},
                    {"instruction_set", instructions},
                    {"images_per_second", found.images_per_second},
                    {"distilled_images_per_second", distilled},
                    {"fma_fraction", row.fraction},
                    {"peak_gflops", peak * 1e-9},
                    {"bfloat16_peak_gflops", bfloat16_peak > 0 ? Json(bfloat16_peak * 1e-9) : Json()},
                    {"parameters", graph::parameter_count(graph)},
                    {"memory_bytes", found.memory_bytes},
                    {"first_compile_seconds", found.first_compile_seconds},
                    {"compile_seconds", found.compile_seconds}});
    text += fmt::format("{:<12} {:>6} {:>9} {:>8} {:>11} {:>5.0f}% {:>10} {:>8.1f}ms {:>8.1f}ms\n", net,
                        command.batch, found.networks, row.threads,
                        format_integer(static_cast<int64_t>(found.images_per_second)), row.fraction * 100,
                        format_bytes(found.memory_bytes), found.first_compile_seconds * 1e3,
                        found.compile_seconds * 1e3);
    rows.push_back(std::move(row));
  }
  if (!distilled_lines.empty())
    text += "\ndistilled from kept logits: images/s, and as a share of those above\n" + distilled_lines;
  text += padding_lines(rows) + compile_line(rows);
  terminal.finish("measuring");
  terminal.result_json(json);
  terminal.result(text);
}

// Whatever can be trained on labels of a name: one network, or those of a group.
std::vector<std::string> networks_of(const std::string& name) {
  std::vector<std::string> nets = graph::network_group(name);
  std::erase(nets, "autoencoder");  // what it trains on is not labels
  if (!nets.empty()) return nets;
  if (graph::reference_network(name).input_shape().flat)
    throw_usage("\"{}\" does not train on images and labels, so it can't be measured here", name);
  return {name};
}

}  // namespace

void add_bench_command(CLI::App& app) {
  CLI::App* bench = app.add_subcommand("bench", "Measure this machine");
  bench->require_subcommand(1);
  add_bench_int8_command(*bench);
  add_bench_study_command(*bench);
  add_bench_proxies_command(*bench);
  CLI::App* sub = bench->add_subcommand("train", "Training speed in images/s, of one network on each core");
  const auto command = std::make_shared<BenchCommand>();
  command->nets = networks_of("reference");
  add_parsed(
      *sub, "--nets", "NAME,…",
      "networks, or groups of them: reference; notebook, the 162 structures of its grid; widths, two "
      "families of even and odd widths. Any student goes as s21_16_1x64 (2 blocks, 1 layer, 16 filters, "
      "1 dense of 64 units) or s32_64_0",
      "reference", [command](const std::string& text) {
        command->nets.clear();
        for (size_t begin = 0; begin <= text.size();) {
          const size_t end = std::min(text.find(',', begin), text.size());
          for (std::string& net : networks_of(text.substr(begin, end - begin)))
            command->nets.push_back(std::move(net));
          begin = end + 1;
        }
      });
  add_parsed(*sub, "--data", "SPEC",
             "images to train on, as for search, resized to each network's input; always mirrored and "
             "shifted as by --mirror --shift 2",
             "random bytes", [command](const std::string& text) {
               if (text.empty()) throw_usage("it is empty where a data set is expected");
               command->data.spec = text;
             });
  add_integer(*sub, "--batch", command->batch, 1, 4096, "images of a step");
  add_number(*sub, "--seconds", command->seconds, 0.01, 3600, "time for each network");
  add_parsed(*sub, "--precision", "NAME",
             "float32, or bfloat16: products of rounded numbers where that is quicker", "float32",
             [command](const std::string& text) { command->precision = engine::parse_precision(text); });
  sub->add_flag_callback(
      "--distill", [command] { command->loss = Loss::LabelsAndTeacher; },
      "measure distillation from kept logits of those views too");
  add_threads_option(*sub, command->threads);
  add_output_options(*sub, command->output);
  add_examples(*sub, {"retort bench train", "retort bench train --nets widths --data fashion-mnist",
                      "retort bench train --nets s21_16,teacher --batch 128 --json"});
  sub->callback([command] { run(*command); });
}

}  // namespace retort::cli
