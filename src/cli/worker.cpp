// retort worker: takes candidates of a search that runs elsewhere.
#include "search/worker.h"
#include "search/search.h"

#include <memory>
#include <nlohmann/json.hpp>

#include "base/units.h"
#include "cli/commands.h"
#include "cli/interrupt.h"
#include "cli/options.h"
#include "cli/terminal.h"

namespace retort::cli {
namespace {

struct WorkerCommand {
  study::Place storage;
  std::filesystem::path folder;
  int workers = 0;
  double lease_seconds = 60;
  std::optional<double> patience_seconds;
  DataOptions data;
  OutputOptions output;
};

void run(WorkerCommand& command) {
  Terminal terminal(command.output);
  search::WorkerOptions options{.storage = command.storage,
                                .folder = command.folder,
                                .workers = command.workers,
                                .lease_seconds = command.lease_seconds,
                                .progress = terminal,
                                .stop = interrupt_token()};
  if (command.patience_seconds) options.patience_seconds = *command.patience_seconds;
  if (command.data.spec.empty()) command.data.spec = search::data_spec(options);
  const auto dataset = load(command.data, terminal);
  search::leave_crash_marks();
  const search::WorkerResult result = search::run_worker(*dataset, options);
  terminal.result_json(
      {{"complete", result.complete}, {"skipped", result.skipped}, {"failed", result.failed}});
  terminal.result(fmt::format("Nothing is left to do: {} candidates completed here, {} skipped, {} failed.",
                              result.complete, result.skipped, result.failed));
}

}  // namespace

void add_storage_options(CLI::App& app, study::Place& place, Presence presence) {
  CLI::Option* storage =
      app.add_option("--storage", place.url,
                     "database that several machines share: postgresql://user@host/database (or sqlite:FILE)")
          ->type_name("URL");
  if (presence == Presence::Required) storage->required();
  app.add_option("--study", place.study, "its name there")->type_name("NAME")->capture_default_str();
  app.add_option("--artefacts", place.artefacts,
                 "folder that they share for files; else the database has them")
      ->type_name("DIR");
}

void add_lease_option(CLI::App& app, double& lease_seconds) {
  add_number(app, "--lease", lease_seconds, 1, 86'400,
             "seconds that a worker may be silent before another takes its candidate");
}

void add_worker_command(CLI::App& app) {
  CLI::App* sub = app.add_subcommand("worker", "Take candidates of a search that runs with --storage");
  const auto command = std::make_shared<WorkerCommand>();
  add_storage_options(*sub, command->storage, Presence::Required);
  add_data_options(*sub, command->data, Presence::Optional);
  sub->add_option("--folder", command->folder,
                  "for unfinished candidates: a worker started again with it goes on with them")
      ->type_name("DIR");
  add_workers_option(*sub, command->workers);
  add_lease_option(*sub, command->lease_seconds);
  add_duration(*sub, "--patience", command->patience_seconds,
               "how long to wait for a search that is not there or not ready, such as 1h; 5m unless given");
  add_output_options(*sub, command->output);
  add_examples(*sub,
               {"retort worker --storage postgresql://retort@host/retort --study mine --data fashion-mnist"});
  sub->callback([command] { run(*command); });
}

}  // namespace retort::cli
