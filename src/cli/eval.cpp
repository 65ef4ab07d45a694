// retort eval: the accuracy of an int8 file, by the bit-exact evaluator.
#include <algorithm>
#include <chrono>
#include <filesystem>
#include <memory>

#include "base/error.h"
#include "base/file.h"
#include "base/json.h"
#include "base/units.h"
#include "cli/commands.h"
#include "cli/interrupt.h"
#include "cli/models.h"
#include "cli/options.h"
#include "cli/split.h"
#include "cli/terminal.h"
#include "data/npy.h"
#include "int8/evaluate.h"
#include "int8/evaluator.h"
#include "int8/tflite.h"

namespace retort::cli {
namespace {

struct EvalCommand {
  std::filesystem::path file;
  DataOptions data;
  data::SplitOptions split;
  std::string part = "test";
  std::filesystem::path outputs;
  int threads = 0;
  OutputOptions output;
};

const int8::Tensor& input_of(const int8::QuantGraph& graph) {
  return graph.tensors.at(static_cast<size_t>(graph.inputs.at(0)));
}

// A byte stands for byte / 255; a foreign model may have been trained on other numbers, such as the bytes
// themselves.
void tell_odd_input(const int8::Tensor& input, Terminal& terminal) {
  if (input.type != int8::Type::Int8) return;
  const auto scale = static_cast<double>(input.quantization.scales.at(0));
  const auto zero_point = static_cast<double>(input.quantization.zero_points.at(0));
  const double low = scale * (-128 - zero_point);
  const double high = scale * (127 - zero_point);
  if (high >= 0.9 && high <= 1.2 && low >= -1.2) return;
  terminal.message(
      fmt::format("the model's int8 input holds {:.4g} to {:.4g}, but images give it 0 to 1: the accuracy is "
                  "right only if "
                  "it was trained on those",
                  low, high));
}

// What the file itself gives: int8, or float32 behind a DEQUANTIZE.
void write_outputs(const std::filesystem::path& path, const int8::QuantGraph& graph,
                   std::span<const int8_t> values, size_t images) {
  const std::filesystem::path file = through_link(path);
  const size_t width = images == 0 ? 0 : values.size() / images;
  const std::vector<int64_t> shape = {static_cast<int64_t>(images), static_cast<int64_t>(width)};
  if (const auto real = int8::real_outputs(graph, values))
    data::write_npy(file, shape, *real);
  else
    data::write_npy(file, "|i1", shape, {reinterpret_cast<const uint8_t*>(values.data()), values.size()});
}

void run(const EvalCommand& command, const CLI::App& app) {
  if (!command.outputs.empty() && command.outputs.extension() != ".npy")
    throw_usage("--outputs: \"{}\" should end in .npy", command.outputs.string());
  if (!command.outputs.empty()) require_writable("--outputs", command.outputs);
  Terminal terminal(command.output);
  const std::vector<uint8_t> tflite = read_file(command.file, int8::kMostTfliteBytes);
  const int8::QuantGraph graph = int8::read_tflite(tflite, command.file.string());
  int8::Evaluator evaluator(graph);
  const size_t width = evaluator.outputs();
  const auto dataset = load_for(command.data, graph, command.file.string(), terminal);
  if (width != dataset->classes.size())
    throw_usage("{} tells {} classes apart but the data has {}", command.file.string(), width,
                dataset->classes.size());
  if (!graph.classes.empty() && graph.classes != dataset->classes)
    terminal.message("the classes that the file names are not the data's: they are matched by their number");
  tell_odd_input(input_of(graph), terminal);
  const Part part = part_of(*dataset, command.part, [&] {
    const std::string name = command.file.string();
    return divide(*dataset, app, command.split, split_of(command.file, tflite), name, terminal).parts;
  });
  const auto start = std::chrono::steady_clock::now();
  const auto images = static_cast<int64_t>(part.indices.size());
  const std::vector<int8_t> outputs =
      int8::run_all(evaluator, {part.images.pixels, part.indices}, command.threads, [&](size_t done) {
        if (interrupt_token().stop_requested())
          throw Error(ErrorCode::Interrupted, "the evaluation was interrupted");
        terminal.update("evaluating", static_cast<double>(done), static_cast<double>(images), "");
      });
  const double seconds = std::chrono::duration<double>(std::chrono::steady_clock::now() - start).count();
  const double accuracy = int8::accuracy(outputs, part.indices, part.images.labels);
  if (!command.outputs.empty()) write_outputs(command.outputs, graph, outputs, part.indices.size());

  const double speed = seconds > 0 ? static_cast<double>(images) / seconds : 0;
  terminal.result_json(
      {{"images", images}, {"accuracy", accuracy}, {"images_per_second", speed}, {"split", command.part}});
  terminal.result(
      fmt::format("accuracy    {:.2f}% of {} images ({})\nspeed       {} images a second\n", 100 * accuracy,
                  format_integer(images),
                  command.part == "all" ? "all, what it was trained on perhaps among them" : command.part,
                  format_integer(static_cast<int64_t>(speed))));
}

}  // namespace

void add_eval_command(CLI::App& app) {
  CLI::App* sub =
      app.add_subcommand("eval", "Accuracy of an int8 .tflite file, bit for bit as a microcontroller's");
  const auto command = std::make_shared<EvalCommand>();
  sub->add_option("file", command->file, "a .tflite file, ours or anyone's")
      ->type_name("FILE.tflite")
      ->required();
  add_data_options(*sub, command->data, Presence::Required);
  add_parsed(*sub, "--split", "NAME",
             "test (the data's own, else the split's), train, validation, or all of them", "test",
             [command](const std::string& text) {
               static const std::vector<std::string> kParts = {"test", "train", "validation", "all"};
               if (std::ranges::count(kParts, text) == 0)
                 throw_usage("\"{}\" is unknown: write test, train, validation or all", text);
               command->part = text;
             });
  add_output_path(*sub, "--outputs", command->outputs, "FILE.npy",
                  "write every output of the model, images x classes");
  add_model_split_options(*sub, command->split);
  add_threads_option(*sub, command->threads);
  add_output_options(*sub, command->output);
  add_examples(*sub, {"retort eval best/model.tflite --data fashion-mnist",
                      "retort eval model.tflite --data images:photos --split validation --json",
                      "retort eval model.tflite --data fashion-mnist --outputs outputs.npy"});
  sub->callback([command, sub] { run(*command, *sub); });
}

}  // namespace retort::cli
