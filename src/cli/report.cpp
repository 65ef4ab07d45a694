// retort report: makes a study's report, table and JSON again from what is stored.
#include <fmt/format.h>

#include <filesystem>
#include <memory>

#include "base/file.h"
#include "base/json.h"
#include "cli/commands.h"
#include "cli/options.h"
#include "cli/terminal.h"
#include "report/report.h"
#include "search/search.h"

namespace retort::cli {
namespace {

struct ReportCommand {
  std::filesystem::path folder;
  study::Place storage;
  OutputOptions output;
};

void run(const ReportCommand& command) {
  Terminal terminal(command.output);
  const search::StudyResult study = search::load_study(command.folder, command.storage);
  const std::filesystem::path html = command.folder / "report.html";
  const std::filesystem::path csv = command.folder / "trials.csv";
  const std::filesystem::path json = command.folder / "study.json";
  write_text_atomic(html, report::html_report(study, report::load_study_files(study, command.folder)));
  write_text_atomic(csv, report::trials_csv(study));
  write_text_atomic(json, report::study_json(study));
  terminal.result_json({{"trials", study.trials.size()},
                        {"report", html.string()},
                        {"csv", csv.string()},
                        {"json", json.string()}});
  terminal.result(fmt::format("report      {}\ntrials      {}, {}\nstudy       {}\n", html.string(),
                              study.trials.size(), csv.string(), json.string()));
}

}  // namespace

void add_report_command(CLI::App& app) {
  CLI::App* sub =
      app.add_subcommand("report", "Make report.html, trials.csv and study.json of a search again");
  const auto command = std::make_shared<ReportCommand>();
  sub->add_option("folder", command->folder, "the folder of the search")->type_name("DIR")->required();
  add_storage_options(*sub, command->storage, Presence::Optional);
  add_output_options(*sub, command->output);
  add_examples(*sub, {"retort report out"});
  sub->callback([command, sub] {
    require_storage_of_others(*sub, command->storage);
    run(*command);
  });
}

}  // namespace retort::cli
