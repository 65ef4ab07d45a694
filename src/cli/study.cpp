// retort study: what a database of studies holds, and copies of it for other programs.
#include <memory>
#include <nlohmann/json.hpp>

#include "base/error.h"
#include "cli/commands.h"
#include "cli/options.h"
#include "cli/terminal.h"
#include "study/storage.h"

namespace retort::cli {
namespace {

struct StudyCommand {
  std::string place;
  std::string optuna_schema = "v3.2.0.a";
  std::filesystem::path file;
  OutputOptions output;
};

// A search's folder stands for the database in it.
std::string url_of(const std::string& place) {
  const std::filesystem::path file = std::filesystem::path(place) / "study.db";
  if (!std::filesystem::is_directory(place)) return place;
  if (!std::filesystem::exists(file)) throw_usage("{}: holds no search (there is no study.db)", place);
  return study::sqlite_place(file).url;
}

void list(const StudyCommand& command) {
  Terminal terminal(command.output);
  const std::string url = url_of(command.place);
  nlohmann::json json = nlohmann::json::array();
  std::string text;
  for (const std::string& name : study::study_names(url)) {
    nlohmann::json trials = nlohmann::json::object();
    text += name + ":";
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

void export_copy(const StudyCommand& command) {
  Terminal terminal(command.output);
  study::export_for_optuna(url_of(command.place), command.optuna_schema, command.file);
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

  CLI::App* copy =
      sub->add_subcommand("export", "A copy for a version of Optuna; the newest opens study.db itself");
  copy->add_option("place", command->place, "a search's folder, or what --storage names")
      ->type_name("DIR|URL")
      ->required();
  copy->add_option("file", command->file, "the SQLite file to write")->type_name("FILE")->required();
  copy->add_option("--optuna-schema", command->optuna_schema,
                   "v3.0.0.d for Optuna 3.0 and 3.1, v3.2.0.a for later ones")
      ->type_name("VERSION")
      ->capture_default_str();
  add_output_options(*copy, command->output);
  add_examples(*copy, {"retort study export out --optuna-schema v3.0.0.d copy.db"});
  copy->callback([command] { export_copy(*command); });
}

}  // namespace retort::cli
