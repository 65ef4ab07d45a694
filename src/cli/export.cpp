// retort export: a trained model as a file that devices read, or as a package with the code that runs it.
#include <fmt/ranges.h>

#include <algorithm>
#include <cmath>
#include <filesystem>
#include <memory>

#include "base/error.h"
#include "base/file.h"
#include "base/json.h"
#include "base/temporary.h"
#include "base/units.h"
#include "cli/commands.h"
#include "cli/interrupt.h"
#include "cli/models.h"
#include "cli/options.h"
#include "cli/split.h"
#include "cli/terminal.h"
#include "cost/cost.h"
#include "deploy/exporter.h"
#include "int8/lower.h"
#include "int8/tflite.h"
#include "search/pipeline.h"

namespace retort::cli {
namespace {

struct ExportCommand {
  std::filesystem::path model;
  std::string to = "tflite";
  int8::Ends ends = int8::Ends::Float;
  bool ends_given = false;
  std::filesystem::path out;
  std::string name = "model";
  std::string version = "1.0.0";
  DataOptions data;
  data::SplitOptions split;
  OutputOptions output;
  std::string shell_command;
};

struct Exported {
  std::vector<uint8_t> tflite;
  std::optional<data::SplitRecord> split;  // that the model was trained by
  double validation_accuracy = search::kUnknown;
};

// The pipeline's own export: it measures the ranges of a model that was not trained for int8.
Exported export_with_data(const ExportCommand& command, const CLI::App& app, engine::Model model,
                          Terminal& terminal) {
  const auto dataset = load(command.data, terminal);
  check_fits(model.graph, *dataset, command.model.string());
  const data::Split split =
      divide(*dataset, app, command.split, model.split, command.model.string(), terminal).parts;
  search::PipelineSettings settings;
  settings.ends = command.ends;
  search::Candidate candidate =
      search::adopt_candidate("model", model.graph, std::move(model.parameters), Rng(0));  // draws nothing
  search::export_model(candidate, {.dataset = *dataset,
                                   .split = split,
                                   .settings = settings,
                                   .curriculum = {},
                                   .progress = terminal,
                                   .stop = interrupt_token()});
  // NOLINTNEXTLINE(bugprone-unchecked-optional-access): value() checks
  search::ExportedModel& exported = candidate.exported.value();
  return {std::move(exported.tflite), model.split, exported.validation_accuracy};
}

Exported from_weights(const ExportCommand& command, const CLI::App& app, Terminal& terminal) {
  engine::Model model = engine::load_model(command.model);
  const bool trained_for_int8 = is_quantized(model.graph);
  if (!trained_for_int8 && command.data.spec.empty())
    throw_usage(
        "{} is not quantised: run retort quantize first, or give --data, whose training images then set the "
        "ranges of "
        "the activations",
        command.model.string());
  if (!command.data.spec.empty()) return export_with_data(command, app, std::move(model), terminal);
  return {int8::write_tflite(
              int8::lower(model.graph, model.parameters, {.ends = command.ends, .classes = model.classes})),
          model.split, search::kUnknown};
}

Exported from_file(const ExportCommand& command) {
  std::vector<uint8_t> tflite = read_file(command.model, int8::kMostTfliteBytes);
  const auto split = split_of(command.model, tflite);
  return {std::move(tflite), split, search::kUnknown};
}

// Of the validation images the first of each class, some classes on. They measure nothing: other data will do.
std::vector<deploy::ExampleImage> examples(const ExportCommand& command, const CLI::App& app,
                                           const int8::QuantGraph& graph,
                                           const std::optional<data::SplitRecord>& trained,
                                           Terminal& terminal) {
  if (command.data.spec.empty()) return {};
  const auto dataset = load_for(command.data, graph, command.model.string(), terminal);
  const data::Split split =
      divide(*dataset, app, command.split, trained, command.model.string(), silent_progress()).parts;
  return deploy::example_images(split.validation, [&](uint32_t index) {
    const auto image = dataset->train.image(index);
    return deploy::ExampleImage{{image.begin(), image.end()}, dataset->train.labels[index]};
  });
}

std::string first_line(std::string_view text) {
  return std::string(text.substr(0, text.find('\n')));
}

// A package never goes over someone's own files nor among them: a folder that is not empty holds the same package
// already, which the first line of its README tells.
void require_own_folder(const std::filesystem::path& folder, const deploy::Files& files) {
  namespace fs = std::filesystem;
  const fs::path readme = folder / "README.md";
  if (fs::exists(readme) && first_line(read_text(readme)) == first_line(files.at("README.md"))) return;
  throw_usage(
      "--out: {} holds other files: name a new or empty folder, or one with the same kind of package of this "
      "--name",
      folder.string());
}

// A new folder appears whole or not at all; in one that is there, file after file is replaced.
void write_package(const std::filesystem::path& folder, const deploy::Files& files) {
  namespace fs = std::filesystem;
  if (fs::exists(folder)) {
    if (!fs::is_empty(folder)) require_own_folder(folder, files);
    // The README first: what is cut short here the same command finishes.
    write_text_atomic(folder / "README.md", files.at("README.md"));
    for (const auto& [path, content] : files)
      if (path != "README.md") write_text_atomic(folder / path, content);
    return;
  }
  fs::path whole = folder;
  if (!whole.has_filename()) whole = whole.parent_path();  // "out/"
  // What is wrong with it, the next line says.
  std::error_code ignored;
  fs::create_directories(whole.parent_path(), ignored);
  // Of this process alone: two may export to the same place at once.
  const StagingFolder staging(whole.parent_path());
  constexpr const char* kPackage = "package";
  for (const auto& [path, content] : files) write_text_atomic(staging.path() / kPackage / path, content);
  staging.move_out(kPackage, whole);
}

void run(const ExportCommand& command, const CLI::App& app) {
  std::vector<std::string> formats = deploy::exporter_names();
  formats.insert(formats.begin(), "tflite");
  if (std::ranges::find(formats, command.to) == formats.end())
    throw_usage("--to: \"{}\" is unknown: it is one of {}", command.to, fmt::join(formats, ", "));
  const bool package = command.to != "tflite";
  require_writable("--out", package ? command.out / "README.md" : command.out);
  require_not_read("--out", command.out, command.model, "the model");
  Terminal terminal(command.output);
  const bool from_tflite = command.model.extension() == ".tflite";
  if (from_tflite && !package) throw_usage("{} is a .tflite file already", command.model.string());
  if (from_tflite && command.ends_given)
    throw_usage("--ends is for weights: {} has its ends already", command.model.string());
  const Exported exported = from_tflite ? from_file(command) : from_weights(command, app, terminal);
  const int8::QuantGraph graph = int8::read_tflite(exported.tflite, command.model.string());
  if (package) {
    const deploy::Files files =
        deploy::exporter(command.to)
            .files({.graph = graph,
                    .tflite = exported.tflite,
                    .name = command.name,
                    .version = command.version,
                    .about_json = about_model(command.model, exported.tflite),
                    .command = command.shell_command,
                    .images = examples(command, app, graph, exported.split, terminal)});
    write_package(command.out, files);
  } else {
    write_file_atomic(through_link(command.out), exported.tflite);
  }

  const auto flash_bytes = static_cast<int64_t>(exported.tflite.size());
  // What a package takes is what the code in it takes.
  const cost::Target target{.runtime = command.to == "tflm" ? cost::Runtime::Tflm : cost::Runtime::C};
  const cost::Cost cost = cost::analyze(graph, flash_bytes, target);
  Json json = cost;
  if (!package) {  // any runtime may read it
    json.erase("runtime");
    json.erase("footprint");
  }
  json["file"] = command.out.string();
  std::string text = command.out.string();
  if (package)
    text += fmt::format("  as {}: {} flash, {} RAM, {} MACs", cost::title(target.runtime),
                        format_bytes(cost.footprint.flash_bytes()), format_bytes(cost.footprint.ram_bytes()),
                        format_integer(cost.macs));
  else
    text += fmt::format("  {} flash, {} arena on a Cortex-M4, {} MACs", format_bytes(flash_bytes),
                        format_bytes(cost.cortex_m4.used_bytes()), format_integer(cost.macs));
  if (std::isfinite(exported.validation_accuracy)) {
    json["accuracy_int8"] = exported.validation_accuracy;
    text += fmt::format(", validation {}", percent(exported.validation_accuracy));
  }
  terminal.result_json(json);
  terminal.result(text);
}

}  // namespace

void add_export_command(CLI::App& app, const std::string& shell_command) {
  CLI::App* sub = app.add_subcommand("export", "Write a trained model as a file or a package for a device");
  const auto command = std::make_shared<ExportCommand>();
  command->shell_command = shell_command;
  const std::string formats = fmt::format("tflite, {}", fmt::join(deploy::exporter_names(), ", "));
  sub->add_option("model", command->model,
                  "a file of weights (weights.retort), or for packages a .tflite file")
      ->type_name("MODEL")
      ->required();
  sub->add_option("--to", command->to, formats)->type_name("FORMAT")->default_str("tflite");
  add_output_path(*sub, "--out", command->out, "PATH", "the file to write; of a package the folder")
      ->required();
  sub->add_option("--name", command->name, "prefix of a package's names and files")
      ->type_name("NAME")
      ->default_str("model");
  sub->add_option("--package-version", command->version,
                  "of a package for arduino, esp-idf or platformio: three numbers")
      ->type_name("VERSION")
      ->default_str("1.0.0");
  add_ends_option(*sub, command->ends);
  add_data_options(*sub, command->data, Presence::Optional);
  add_model_split_options(*sub, command->split);
  add_output_options(*sub, command->output);
  add_examples(*sub,
               {"retort export int8/weights.retort --ends int8 --out model.tflite",
                "retort export student/weights.retort --data fashion-mnist --out model.tflite",
                "retort export best/model.tflite --to c --data images:photos --out model-c",
                "retort export best/model.tflite --to arduino --name flowers --data images:photos --out lib",
                "retort export best/model.tflite --to esp-idf --package-version 1.2.0 --out lib"});
  for (const char* name : {"--skip-bad", "--no-cache"})
    sub->get_option(name)->needs(sub->get_option("--data"));
  for (const char* name : kSplitOptions) sub->get_option(name)->needs(sub->get_option("--data"));
  sub->callback([command, sub] {
    command->ends_given = sub->get_option("--ends")->count() > 0;
    if (sub->get_option("--name")->count() > 0 && command->to == "tflite")
      throw_usage("--name is for packages: a .tflite file has no names");
    if (sub->get_option("--package-version")->count() > 0 &&
        (command->to == "tflite" || !deploy::has_version(command->to)))
      throw_usage("--package-version is without effect: {} has no place for one", command->to);
    run(*command, *sub);
  });
}

}  // namespace retort::cli
