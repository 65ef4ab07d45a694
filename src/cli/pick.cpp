// retort pick: another model of a search, within other limits.
#include <fmt/format.h>

#include <algorithm>
#include <filesystem>
#include <memory>
#include <optional>

#include "base/error.h"
#include "base/json.h"
#include "base/units.h"
#include "cli/commands.h"
#include "cli/models.h"
#include "cli/options.h"
#include "cli/terminal.h"
#include "search/limits.h"
#include "search/search.h"

namespace retort::cli {
namespace {

using search::TrialResult;

struct PickCommand {
  std::filesystem::path folder;
  study::Place storage;
  search::Limits limits;
  std::filesystem::path out;
  OutputOptions output;
};

std::string line_of(const TrialResult& trial) {
  return fmt::format("{:>5}  {:>7}  {:>9}  {:>9}  {:>8}  {}\n", trial.number, percent(trial.accuracy_int8),
                     format_integer(trial.footprint.flash_bytes()),
                     format_integer(trial.footprint.ram_bytes()), format_count(trial.macs), trial.config);
}

Json json_of(const TrialResult& trial) {
  return {{"trial", trial.number},        {"accuracy_int8", trial.accuracy_int8},
          {"footprint", trial.footprint}, {"flash_bytes", trial.flash_bytes},
          {"macs", trial.macs},           {"config", trial.config}};
}

void run(const PickCommand& command) {
  Terminal terminal(command.output);
  const search::StudyResult study = search::load_study(command.folder, command.storage);
  std::vector<const TrialResult*> front;
  for (const int number : search::pareto_front(study.trials))
    front.push_back(search::find_trial(study, number));
  if (front.empty()) throw_failure("{}: the search has no model yet", command.folder.string());
  if (front.front()->footprint.flash_bytes() == 0)
    throw_usage(
        "{} is a search of an earlier version, which did not store what a model takes with its runtime",
        command.folder.string());
  const bool limited = command.limits.flash_bytes || command.limits.ram_bytes || command.limits.macs;
  if (!limited) {
    if (!command.out.empty())
      throw_usage("--out is without effect: give --flash, --ram or --macs to pick a model");
    std::string text = "trial  int8, validation; flash and RAM with the runtime, bytes; MACs; structure\n";
    Json list = Json::array();
    for (const TrialResult* trial : front) {
      text += line_of(*trial);
      list.push_back(json_of(*trial));
    }
    terminal.result_json({{"front", list}});
    terminal.result(text);
    return;
  }
  const auto picked = std::ranges::find_if(
      front, [&](const TrialResult* trial) { return search::is_within(*trial, command.limits); });
  if (picked == front.end()) {
    const TrialResult& smallest = **std::ranges::min_element(
        front, {}, [](const TrialResult* trial) { return trial->footprint.flash_bytes(); });
    throw Error(
        ErrorCode::Infeasible,
        fmt::format("none of the search's models is within the limits; the one of least flash takes {} "
                    "bytes of flash, {} of RAM and {} multiply-accumulates",
                    format_integer(smallest.footprint.flash_bytes()),
                    format_integer(smallest.footprint.ram_bytes()), format_count(smallest.macs)));
  }
  const std::filesystem::path out = command.out.empty() ? command.folder / "pick" : command.out;
  require_writable("--out", out / "model.tflite");
  search::write_model(study, command.folder, (*picked)->number, out, {});
  Json json = json_of(**picked);
  json["file"] = (out / "model.tflite").string();
  terminal.result_json(json);
  terminal.result(
      fmt::format("{}: {} on validation, {} bytes of flash and {} of RAM with its runtime\n  {}\n",
                  (out / "model.tflite").string(), percent((*picked)->accuracy_int8),
                  format_integer((*picked)->footprint.flash_bytes()),
                  format_integer((*picked)->footprint.ram_bytes()), (*picked)->config));
}

}  // namespace

void add_pick_command(CLI::App& app) {
  CLI::App* sub = app.add_subcommand(
      "pick", "The models of a search that no other beats; with limits, the best within them as files");
  const auto command = std::make_shared<PickCommand>();
  sub->add_option("folder", command->folder, "the folder of the search")->type_name("DIR")->required();
  add_bytes(*sub, "--flash", command->limits.flash_bytes, "most flash with the runtime, such as 32K");
  add_bytes(*sub, "--ram", command->limits.ram_bytes, "most RAM with the runtime, such as 16K");
  add_count(*sub, "--macs", command->limits.macs, "most multiply-accumulates, such as 2M");
  add_output_path(*sub, "--out", command->out, "DIR",
                  "folder for model.tflite, model.json and c/ (DIR/pick)");
  add_storage_options(*sub, command->storage, Presence::Optional);
  add_output_options(*sub, command->output);
  add_examples(*sub, {"retort pick out", "retort pick out --flash 32K --out small"});
  sub->callback([command, sub] {
    require_storage_of_others(*sub, command->storage);
    run(*command);
  });
}

}  // namespace retort::cli
