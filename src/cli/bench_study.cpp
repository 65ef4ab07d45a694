// retort bench study: how much a database of studies can carry.
#include <unistd.h>

#include <algorithm>
#include <array>
#include <atomic>
#include <barrier>
#include <chrono>
#include <functional>
#include <memory>
#include <thread>

#include "base/error.h"
#include "base/json.h"
#include "base/parallel.h"
#include "base/rng.h"
#include "cli/bench.h"
#include "cli/options.h"
#include "cli/terminal.h"
#include "study/storage.h"

namespace retort::cli {
namespace {

using Clock = std::chrono::steady_clock;

struct BenchStudyCommand {
  std::string url;
  int clients = 16;
  int claims = 4000;
  int workers = 1000;
  double trial_seconds = 60;
  double seconds = 30;
  int trials = 100'000;
  OutputOptions output;
};

double seconds_since(Clock::time_point start) {
  return std::chrono::duration<double>(Clock::now() - start).count();
}

// As large as those of a search.
study::NewTrial proposal() {
  return {
      .proposal = "{\"graph\": \"" + std::string(2000, 'x') + "\"}",
      .parameters =
          {{"blocks",
            R"({"name": "IntDistribution", "attributes": {"log": false, "step": 1, "low": 0, "high": 64}})",
            3}},
      .constraints = {-0.5},
      .attributes = {{"macs", "123456"}}};
}
study::Ending ending() {
  return {.state = study::TrialState::Complete,
          .result = "{\"stages\": \"" + std::string(1500, 'y') + "\"}",
          .values = {0.5}};
}

constexpr std::string_view kOwnStudies = "bench ";

std::unique_ptr<study::Storage> open(const BenchStudyCommand& command, std::string_view what) {
  return study::open_storage(
      {.url = command.url, .study = fmt::format("{}{} {}", kOwnStudies, what, getpid())}, {{"accuracy"}});
}
void add(study::Storage& storage, int count) {
  constexpr int kAtOnce = 1000;
  for (int first = 0; first < count; first += kAtOnce)
    storage.add_trials(first, std::vector(static_cast<size_t>(std::min(kAtOnce, count - first)), proposal()));
}

// Every client is a process of its own as far as the database can tell.
Json measure_claims(const BenchStudyCommand& command) {
  add(*open(command, "claims"), command.claims);
  std::atomic<int> claimed = 0;
  std::atomic<int> finished = 0;
  std::vector<std::vector<study::Claim>> claims(static_cast<size_t>(command.clients));
  const auto on_clients = [&](const std::function<void(study::Storage&, int)>& body) {
    std::vector<std::unique_ptr<study::Storage>> storages;
    for (int i = 0; i < command.clients; ++i) storages.push_back(open(command, "claims"));
    const auto start = Clock::now();
    all_at_once(storages.size(), [&](size_t i, std::barrier<>&) { body(*storages[i], static_cast<int>(i)); });
    return seconds_since(start);
  };
  const double claim_seconds = on_clients([&](study::Storage& storage, int i) {
    while (const auto trial = storage.claim(fmt::format("client {}", i), 600)) {
      claims[static_cast<size_t>(i)].push_back(trial->claim);
      ++claimed;
    }
  });
  const double finish_seconds = on_clients([&](study::Storage& storage, int i) {
    for (const study::Claim& claim : claims[static_cast<size_t>(i)]) {
      storage.finish(claim, ending());
      ++finished;
    }
  });
  if (claimed != command.claims) throw_failure("{} claims of {} trials", claimed.load(), command.claims);
  return {{"clients", command.clients},
          {"claims_per_second", claimed / claim_seconds},
          {"results_per_second", finished / finish_seconds}};
}

// Bytes that no other trial has, so that none is kept for another.
std::vector<uint8_t> bytes_of(size_t size, Rng& rng) {
  std::vector<uint8_t> bytes(size);
  for (uint8_t& byte : bytes) byte = static_cast<uint8_t>(rng.below(256));
  return bytes;
}

// Workers of one process: each claims, trains in four stages with heartbeats, and reports. What they send is what a search of
// tiny networks sends: an epoch's accuracy every five seconds, a checkpoint a lease, three files in the end.
Json measure_workers(const BenchStudyCommand& command) {
  const auto storage = open(command, "workers");
  add(*storage, static_cast<int>(command.workers * (2 + command.seconds / command.trial_seconds)));
  constexpr int kStages = 4;
  constexpr double kBeatSeconds = 15;  // of a lease of 60
  constexpr int kBeatsACheckpoint = 4;
  constexpr double kValueSeconds = 5;
  constexpr size_t kCheckpointBytes = 100'000;
  constexpr std::array<size_t, 3> kFileBytes = {40'000, 12'000, 4'000};  // weights, model.tflite, result.json
  std::atomic<int> trials = 0;
  std::vector<double> training(static_cast<size_t>(command.workers), 0);
  std::vector<double> alive(static_cast<size_t>(command.workers), 0);
  all_at_once(training.size(), [&](size_t worker, std::barrier<>&) {
    Rng rng = Rng(1).fork(fmt::format("{}", worker));
    // Workers of a search that runs are somewhere in their trials.
    std::this_thread::sleep_for(std::chrono::duration<double>(rng.uniform(0, 1) * command.trial_seconds / 4));
    const auto start = Clock::now();
    const auto train = [&](double seconds) {
      const auto begun = Clock::now();
      std::this_thread::sleep_for(std::chrono::duration<double>(seconds));
      training[worker] += seconds_since(begun);
    };
    while (seconds_since(start) < command.seconds) {
      const auto claimed = storage->claim(fmt::format("worker {}", worker), 60);
      if (!claimed) break;
      double since_beat = 0;
      double since_value = 0;
      int beats = 0;
      int step_number = 0;
      for (int stage = 0; stage < kStages && seconds_since(start) < command.seconds; ++stage) {
        double left = command.trial_seconds * (0.5 + rng.uniform(0, 1)) / kStages;
        while (left > 0) {
          const double step = std::min({left, kBeatSeconds - since_beat, kValueSeconds - since_value});
          train(step);
          left -= step;
          since_beat += step;
          since_value += step;
          if (since_value >= kValueSeconds) {
            storage->put_values(claimed->claim, std::vector<study::IntermediateValue>{{step_number++, 0.5}});
            since_value = 0;
          }
          if (since_beat < kBeatSeconds) continue;
          storage->heartbeat(std::vector{claimed->claim});
          since_beat = 0;
          if (++beats % kBeatsACheckpoint == 0)
            storage->put_checkpoint(claimed->claim, bytes_of(kCheckpointBytes, rng));
        }
        storage->put_stage(claimed->claim, {fmt::format("stage {}", stage), std::string(500, 's')},
                           std::vector<study::IntermediateValue>{{stage, 0.5}});
      }
      for (const size_t size : kFileBytes) storage->put_artefact(bytes_of(size, rng));
      storage->finish(claimed->claim, ending());
      ++trials;
    }
    alive[worker] = seconds_since(start);
  });
  double trained = 0;
  double lived = 0;
  for (size_t i = 0; i < training.size(); ++i) {
    trained += training[i];
    lived += alive[i];
  }
  return {{"workers", command.workers},
          {"trial_seconds", command.trial_seconds},
          {"trials", trials.load()},
          {"training_share", trained / lived}};
}

Json measure_size(const BenchStudyCommand& command) {
  auto storage = open(command, "size");
  auto start = Clock::now();
  add(*storage, command.trials);
  const double add_seconds = seconds_since(start);
  storage.reset();
  start = Clock::now();
  storage = open(command, "size");
  const double open_seconds = seconds_since(start);
  start = Clock::now();
  const size_t count = storage->trials().size();
  const double read_seconds = seconds_since(start);
  start = Clock::now();
  storage->release("nobody");
  static_cast<void>(storage->claim("one", 60));
  static_cast<void>(storage->counts());
  return {{"trials", count},
          {"add_seconds", add_seconds},
          {"open_seconds", open_seconds},
          {"read_seconds", read_seconds},
          {"claim_seconds", seconds_since(start)}};
}

// What is measured stays in the database, and is no search's to find among its own.
void refuse_others_database(const std::string& url) {
  std::vector<std::string> names;
  try {
    names = study::study_names(url);
  } catch (const Error&) {  // one without tables yet; what else is wrong with it, open() says
    return;
  }
  const auto other =
      std::ranges::find_if_not(names, [](std::string_view name) { return name.starts_with(kOwnStudies); });
  if (other != names.end())
    throw_usage("the database holds other studies, such as '{}': name one for this alone, or a new one",
                *other);
}

void run(const BenchStudyCommand& command) {
  refuse_others_database(command.url);
  Terminal terminal(command.output);
  Json result = Json::object();
  if (command.claims > 0) result["claims"] = measure_claims(command);
  if (command.workers > 0) result["workers"] = measure_workers(command);
  if (command.trials > 0) result["size"] = measure_size(command);
  terminal.result_json(result);
  terminal.result(result.dump(2));
}

}  // namespace

void add_bench_study_command(CLI::App& bench) {
  CLI::App* sub = bench.add_subcommand(
      "study",
      "What a database carries: claims and results a second, the share of their time that many workers "
      "train, and how long a large study takes to open and read");
  const auto command = std::make_shared<BenchStudyCommand>();
  sub->add_option("url", command->url, "a database for this alone: postgresql://… or sqlite:FILE")
      ->type_name("URL")
      ->required();
  add_integer(*sub, "--clients", command->clients, 1, 10'000,
              "that claim at once, each with its own connection");
  add_integer(*sub, "--claims", command->claims, 0, 1'000'000, "trials that they claim; 0: not measured");
  add_integer(*sub, "--workers", command->workers, 0, 10'000, "simulated in one process; 0: not measured");
  add_number(*sub, "--trial-seconds", command->trial_seconds, 0.1, 86'400,
             "mean length of a simulated trial");
  add_number(*sub, "--seconds", command->seconds, 1, 86'400, "how long they work");
  add_integer(*sub, "--trials", command->trials, 0, 10'000'000, "of the large study; 0: not measured");
  add_output_options(*sub, command->output);
  add_examples(*sub, {"retort bench study postgresql://retort@host/bench --json"});
  sub->callback([command] { run(*command); });
}

}  // namespace retort::cli
