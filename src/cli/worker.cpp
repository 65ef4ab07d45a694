// retort worker: takes candidates of a search that runs elsewhere.
#include "search/worker.h"
#include "base/json.h"
#include "search/search.h"

#include <unistd.h>

#include <cstdlib>
#include <filesystem>
#include <memory>
#include <optional>
#include <string_view>

#include "base/error.h"
#include "base/units.h"
#include "cli/commands.h"
#include "cli/interrupt.h"
#include "cli/options.h"
#include "cli/restart.h"
#include "cli/terminal.h"
#include "study/secrets.h"

namespace retort::cli {
namespace {

namespace fs = std::filesystem;

struct WorkerCommand {
  study::Place storage;
  fs::path folder;
  int workers = 0;
  std::optional<int64_t> memory_bytes;
  double lease_seconds = 60;
  std::optional<double> patience_seconds;
  DataOptions data;
  OutputOptions output;
};

// For unfinished candidates where no --folder is given. The program finds it again that begins anew after a
// crash.
class OwnFolder {
 public:
  OwnFolder() {
    constexpr const char* kVariable = "RETORT_WORKER_FOLDER";
    const std::string process = fmt::format("{} ", getpid());
    const char* earlier = std::getenv(kVariable);
    if (earlier != nullptr && std::string_view(earlier).starts_with(process)) {
      path_ = std::string_view(earlier).substr(process.size());
      return;
    }
    std::string pattern = (fs::temp_directory_path() / "retort-worker-XXXXXX").string();
    if (mkdtemp(pattern.data()) == nullptr)
      throw_failure("{}: no folder can be made there for unfinished candidates", pattern);
    path_ = pattern;
    setenv(kVariable, (process + pattern).c_str(), 1);
  }
  ~OwnFolder() {
    std::error_code ignored;
    fs::remove_all(path_, ignored);
  }
  OwnFolder(const OwnFolder&) = delete;
  OwnFolder& operator=(const OwnFolder&) = delete;

  [[nodiscard]] const fs::path& path() const { return path_; }

 private:
  fs::path path_;
};

void run(WorkerCommand& command) {
  Terminal terminal(command.output);
  std::optional<OwnFolder> own;
  if (command.folder.empty()) command.folder = own.emplace().path();
  search::WorkerOptions options{.storage = command.storage,
                                .folder = command.folder,
                                .workers = command.workers,
                                .memory_bytes = command.memory_bytes,
                                .lease_seconds = command.lease_seconds,
                                .progress = terminal,
                                .stop = interrupt_token()};
  if (command.patience_seconds) options.patience_seconds = *command.patience_seconds;
  if (command.data.spec.empty()) command.data.spec = search::data_spec(options);
  const auto dataset = load(command.data, terminal);
  search::leave_crash_marks(start_again_after_crash);
  const search::WorkerResult result = search::run_worker(*dataset, options);
  terminal.result_json(
      {{"complete", result.complete}, {"skipped", result.skipped}, {"failed", result.failed}});
  terminal.result(fmt::format("Nothing is left to do: {} completed here, {} skipped, {} failed.",
                              result.complete, result.skipped, result.failed));
}

}  // namespace

void add_storage_options(CLI::App& app, study::Place& place, Presence presence) {
  CLI::Option* storage =
      add_parsed(app, "--storage", "URL",
                 "database that several machines share: postgresql://user@host/database (or sqlite:FILE)", "",
                 [&place](const std::string& url) {
                   study::check_url(url);
                   place.url = url;
                 });
  if (presence == Presence::Required) storage->required();
  app.add_option("--study", place.study, "its name there")->type_name("NAME")->capture_default_str();
  app.add_option("--artefacts", place.artefacts,
                 "folder that they share for files; else the database has them")
      ->type_name("DIR");
}

void require_storage_of_others(const CLI::App& app, const study::Place& place) {
  if (place.url.empty())
    refuse_without_effect(app, {"--study", "--artefacts"},
                          "it is for a study that several machines share, and --storage names none");
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
  add_memory_option(*sub, command->memory_bytes);
  add_lease_option(*sub, command->lease_seconds);
  add_duration(*sub, "--patience", command->patience_seconds,
               "how long to wait for a search that is not there or not ready, such as 1h; 5m unless given");
  add_output_options(*sub, command->output);
  add_examples(*sub,
               {"retort worker --storage postgresql://retort@host/retort --study mine --data fashion-mnist"});
  sub->callback([command] { run(*command); });
}

}  // namespace retort::cli
