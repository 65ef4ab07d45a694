// retort study: what a database of studies holds, and copies of it for other programs.
#include <algorithm>
#include <chrono>
#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "base/error.h"
#include "base/json.h"
#include "base/units.h"
#include "cli/commands.h"
#include "cli/options.h"
#include "cli/terminal.h"
#include "cli/text.h"
#include "report/tensorboard.h"
#include "search/study_place.h"
#include "study/storage.h"

namespace retort::cli {
namespace {

struct StudyCommand {
  std::string place;
  std::string optuna_schema = "v3.2.0.a";
  std::filesystem::path file;
  std::filesystem::path tensorboard;
  std::optional<std::string> study;
  OutputOptions output;
};

// A search's folder stands for the study in it, or for the one that it names.
study::Place place_of(const StudyCommand& command) {
  if (!std::filesystem::is_directory(command.place))
    return {.url = command.place, .study = command.study.value_or(std::string(study::kDefaultStudy))};
  study::Place place = search::place_of(command.place);
  const std::filesystem::path file = std::filesystem::path(command.place) / "study.db";
  if (place.url == study::sqlite_place(file).url && !std::filesystem::exists(file))
    throw_usage("{}: holds no search (there is no study.db)", command.place);
  if (command.study) place.study = *command.study;
  return place;
}

// For Optuna: the one that is named, else all that a folder's search has, else all of the database (none is named).
std::vector<std::string> studies_of(const StudyCommand& command, const study::Place& place) {
  if (command.study) return {*command.study};
  if (!std::filesystem::is_directory(command.place)) return {};
  std::vector<std::string> names = {place.study};
  const std::string finalists = search::confirmations_of(place).study;
  if (std::ranges::count(study::study_names(place.url), finalists) > 0) names.push_back(finalists);
  return names;
}

void list(const StudyCommand& command) {
  Terminal terminal(command.output);
  const std::string url = place_of(command).url;
  Json json = Json::array();
  std::string text;
  for (const std::string& name : study::study_names(url)) {
    Json trials = Json::object();
    text += without_controls(name) + ":";
    for (const auto& [state, count] :
         study::open_storage({.url = url, .study = name}, study::Access::Read)->counts()) {
      trials[std::string(study::to_string(state))] = count;
      text += fmt::format(" {} {}", count, study::to_string(state));
    }
    text += '\n';
    json.push_back({{"name", name}, {"trials", trials}});
  }
  terminal.result_json(json);
  terminal.result(text);
}

void export_events(const StudyCommand& command) {
  Terminal terminal(command.output);
  const auto storage = study::open_storage(place_of(command), study::Access::Read);
  const std::chrono::duration<double> now = std::chrono::system_clock::now().time_since_epoch();
  const int runs = report::export_tensorboard(*storage, command.tensorboard, now.count());
  terminal.result_json({{"folder", command.tensorboard.string()}, {"runs", runs}});
  terminal.result(fmt::format("{0}: {1}; tensorboard --logdir {0}", command.tensorboard.string(),
                              format_counted(runs, "run")));
}

void export_copy(const StudyCommand& command) {
  if (command.file.empty() == command.tensorboard.empty())
    throw_usage("give either the SQLite file to write for Optuna or --tensorboard DIR");
  if (command.file.empty()) {
    export_events(command);
    return;
  }
  Terminal terminal(command.output);
  const study::Place place = place_of(command);
  study::export_for_optuna(place.url, command.optuna_schema, command.file, studies_of(command, place));
  terminal.result_json({{"file", command.file.string()}, {"optuna_schema", command.optuna_schema}});
  terminal.result(
      fmt::format("{}: Optuna's tables, version {}", command.file.string(), command.optuna_schema));
}

}  // namespace

void add_study_command(CLI::App& app) {
  CLI::App* sub = app.add_subcommand("study", "What a database of searches holds, and copies for Optuna");
  sub->require_subcommand(1);
  const auto command = std::make_shared<StudyCommand>();

  CLI::App* names = sub->add_subcommand("list", "The studies in a database, and how far they are");
  names->add_option("place", command->place, "a search's folder, or what --storage names")
      ->type_name("DIR|URL")
      ->required();
  add_output_options(*names, command->output);
  add_examples(*names, {"retort study list out", "retort study list postgresql://retort@host/retort"});
  names->callback([command] { list(*command); });

  CLI::App* copy = sub->add_subcommand(
      "export", "A copy for a version of Optuna (the newest opens study.db itself), or for TensorBoard");
  copy->add_option("place", command->place, "a search's folder, or what --storage names")
      ->type_name("DIR|URL")
      ->required();
  copy->add_option("file", command->file, "the SQLite file to write, for Optuna")->type_name("FILE");
  copy->add_option("--optuna-schema", command->optuna_schema,
                   "v3.0.0.d for Optuna 3.0 and 3.1, v3.2.0.a for later ones")
      ->type_name("VERSION")
      ->capture_default_str();
  copy->add_option("--tensorboard", command->tensorboard,
                   "write event files for TensorBoard into this folder, a run a trial")
      ->type_name("DIR");
  copy->add_option(
          "--study", command->study,
          "the one to copy; without it that of the folder's search (for Optuna with its finalists' runs), of "
          "a database for Optuna all, for TensorBoard " +
              std::string(study::kDefaultStudy))
      ->type_name("NAME");
  add_output_options(*copy, command->output);
  add_examples(*copy, {"retort study export out --optuna-schema v3.0.0.d copy.db",
                       "retort study export postgresql://retort@host/retort --study mine copy.db",
                       "retort study export out --tensorboard events"});
  copy->callback([command, copy] {
    if (!command->tensorboard.empty())
      refuse_without_effect(*copy, {"--optuna-schema"}, "--tensorboard writes no tables of Optuna's");
    export_copy(*command);
  });
}

}  // namespace retort::cli
