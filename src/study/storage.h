// Where a search keeps what it finished, and how many workers share it. What comes back after a crash is
// exactly what was announced before it.
//
// A Storage is one study of a database. It holds named documents (settings, the plan, the teacher), trials
// and artefacts (files by their hash); documents, proposals and results are JSON that it does not look into.
// The tables are Optuna's with our own beside them (schema.h), so that Optuna and its dashboard open the
// database; parameters, values, constraints and attributes are there for them.
//
// The life of a trial:
//
//   add_trials → Waiting ── claim ──→ Running ── finish ──→ Complete | Skipped | Infeasible | Failed
//                   ↑ ↑                 │   └── pause ──→ Paused ── decide ──→ Waiting | Skipped
//                   │ └── lease lost ───┤
//                   └──── crash ────────┘ (the last one allowed: Failed)
//
// Whoever claims a trial holds it on a lease that heartbeat() renews (lease_keeper.h does). Who does not
// renew it in time, being dead or hung, loses it to the next one that claims; its late calls throw LostLease
// and change nothing. Every call may be repeated when its answer was lost: the second one does nothing.
//
// Leases run by a clock that jumps do no harm: SQLite's by the machine's steady clock (a reboot ends them),
// PostgreSQL's by the server's. Where that is set back a lease lasts at most its length from then on; where
// it is set forward leases end early, which costs work and no result.
#pragma once

#include <climits>
#include <cstdint>
#include <filesystem>
#include <map>
#include <memory>
#include <optional>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "base/error.h"

namespace retort::study {

enum class TrialState { Waiting, Running, Paused, Complete, Skipped, Infeasible, Failed };
std::string_view to_string(TrialState state);  // "WAITING", …
TrialState parse_trial_state(std::string_view name);

inline bool is_finished(TrialState state) {
  return state != TrialState::Waiting && state != TrialState::Running && state != TrialState::Paused;
}

enum class Direction { Minimize, Maximize };
struct Objective {
  std::string name;
  Direction direction = Direction::Maximize;
  bool operator==(const Objective&) const = default;
};

// One gene as Optuna knows it: {"name": "IntDistribution", "attributes": {…}}, and its value, of a
// categorical one the index of its choice. parameters.h makes them.
struct Parameter {
  std::string name;
  std::string distribution;  // JSON
  double value = 0;
  bool operator==(const Parameter&) const = default;
};

struct Attribute {
  std::string name;
  std::string json;
  bool operator==(const Attribute&) const = default;
};

struct NewTrial {
  std::string proposal;  // JSON: what is to be tried
  std::vector<Parameter> parameters{};
  std::vector<double> constraints{};  // each is kept when it is at most 0
  std::vector<Attribute> attributes{};
};

struct StageRecord {
  std::string name;
  std::string result;  // JSON
  bool operator==(const StageRecord&) const = default;
};

// May be infinite or NaN.
struct IntermediateValue {
  int step = 0;
  double value = 0;
  bool operator==(const IntermediateValue&) const = default;
};

// How a trial ends. Complete needs a value for each objective, none of them NaN; others may have none.
struct Ending {
  TrialState state = TrialState::Complete;
  std::string result;  // JSON
  std::vector<double> values{};
  std::vector<Attribute> attributes{};
};

struct TrialRecord {
  int number = 0;  // from 0, in the order of adding
  TrialState state = TrialState::Waiting;
  int rung = 0;  // how often it was paused
  std::string proposal;
  std::string result;  // empty until finished
  std::vector<StageRecord> stages;
  bool operator==(const TrialRecord&) const = default;
};

// What Optuna shows of a trial.
struct TrialDetails {
  std::vector<Parameter> parameters;                   // by name
  std::vector<IntermediateValue> intermediate_values;  // by step
  std::vector<double> values;                          // by objective
  std::vector<double> constraints;
  std::vector<Attribute> attributes;  // by name
  bool operator==(const TrialDetails&) const = default;
};

// The right to a trial, good as long as nobody else has claimed it.
struct Claim {
  int trial = 0;
  std::string worker;
  int attempt = 0;
  bool operator==(const Claim&) const = default;
};
struct ClaimedTrial {
  Claim claim;
  TrialRecord trial;
  int losses = 0;  // leases of it that were lost one after the other since a stage was stored
};

// Of a trial that waits at a rung.
struct Decision {
  int trial = 0;
  int rung = 0;        // that it was paused at: a decision of an earlier rung comes too late
  std::string result;  // empty: it goes on; else it is Skipped with this result
};

// The trial was claimed by another worker or ended: its lease was lost.
class LostLease : public Error {
 public:
  explicit LostLease(const Claim& claim)
      : Error(ErrorCode::Failure, fmt::format("trial {} is no longer held by {} (attempt {})", claim.trial,
                                              claim.worker, claim.attempt)) {}
};

// Every call is one transaction: when it returns, its change survives the death of the process, and on a full
// disk nothing has changed. Safe to use from several threads. Where the database's server cannot be reached a
// call waits for it, a few minutes at most. Errors are Error(Failure) with one sentence that names the place.
class Storage {
 public:
  virtual ~Storage() = default;

  virtual void put_document(std::string_view key, std::string_view json) = 0;
  // Stores it unless there is one, and returns what is there now: of those who try at once all get the same.
  virtual std::string put_document_once(std::string_view key, std::string_view json) = 0;
  [[nodiscard]] virtual std::optional<std::string> document(std::string_view key) const = 0;

  [[nodiscard]] virtual std::vector<Objective> objectives() const = 0;

  // Adds waiting trials, all of them, if there are `expected_count` trials now; else none, and false. So any
  // worker may compute the next trials from those below a boundary, and one of them wins.
  virtual bool add_trials(int expected_count, std::span<const NewTrial> trials) = 0;

  // Takes the waiting trial with the smallest number below `below`. Nothing when none waits. `worker` is the
  // caller's own name: no other process uses it.
  virtual std::optional<ClaimedTrial> claim(std::string_view worker, double lease_seconds,
                                            int below = INT_MAX) = 0;
  // Renews the leases; returns those that are lost.
  virtual std::vector<Claim> heartbeat(std::span<const Claim> claims) = 0;
  // Trials held by `worker` wait again, their stages kept, as leases that were lost: for one that knows that an
  // earlier process of its name is gone. Returns how many.
  virtual int release(std::string_view worker) = 0;
  // The same for leases that have run out; claim() does it now and then.
  virtual int release_expired() = 0;

  // All five throw LostLease.
  // Stores a stage; one of the same name is replaced (a trial that goes on after a crash repeats what was not
  // stored), and so are values of the same step.
  virtual void put_stage(const Claim& claim, const StageRecord& stage,
                         std::span<const IntermediateValue> values = {}) = 0;
  virtual void finish(const Claim& claim, const Ending& ending) = 0;
  virtual void pause(const Claim& claim) = 0;
  // It waits again, and nothing was lost: for a worker that ends in order.
  virtual void give_back(const Claim& claim) = 0;
  // An error of the trial's own: it waits for another attempt, or has Failed with `result` (JSON) when it has
  // crashed `most_crashes` times. Returns what it is now.
  virtual TrialState crash(const Claim& claim, std::string_view result, int most_crashes) = 0;

  // Trials that are no longer paused at their decision's rung stay as they are. Returns how many changed.
  virtual int decide(std::span<const Decision> decisions) = 0;

  [[nodiscard]] virtual std::vector<TrialRecord> trials() const = 0;  // by number
  [[nodiscard]] virtual TrialRecord trial(int number) const = 0;
  [[nodiscard]] virtual std::map<TrialState, int> counts() const = 0;
  [[nodiscard]] virtual TrialDetails details(int trial) const = 0;

  // Keeps bytes under their SHA-256 in hexadecimal, which it returns. One file of a place's artefact folder
  // where it has one, else a row of the database.
  virtual std::string put_artefact(std::span<const uint8_t> bytes) = 0;
  // Error(Failure) when it is missing, or its bytes have another hash.
  [[nodiscard]] virtual std::vector<uint8_t> artefact(std::string_view sha256) const = 0;
};

inline constexpr std::string_view kDefaultStudy = "retort";

struct Place {
  std::string url;  // postgresql://…, sqlite:FILE or FILE
  std::string study{kDefaultStudy};
  std::filesystem::path artefacts{};  // folder shared by the workers; empty: artefacts are in the database
};
inline Place sqlite_place(const std::filesystem::path& file) {
  return {.url = "sqlite:" + file.string()};
}

// Gone when it is destroyed.
std::unique_ptr<Storage> make_memory_storage(const std::vector<Objective>& objectives = {{"value"}});

// The study of that name, made when there is none; so are a SQLite file and the tables. Error(Usage) for
// another form of URL and for a study with other objectives. Error(Failure) for a damaged file, a database of
// another program, or one of another version of Retort's or Optuna's tables.
std::unique_ptr<Storage> open_storage(const Place& place, const std::vector<Objective>& objectives);
enum class Access { Read, Write };
// One that exists; Error(Usage) when there is none. Read: nothing is changed, nor need be allowed to be: every
// call that writes is an Error(Failure).
std::unique_ptr<Storage> open_storage(const Place& place, Access access);
[[nodiscard]] std::vector<std::string> study_names(std::string_view url);

// Writes Optuna's tables of a database, all its studies, as a new SQLite file in the schema of Optuna's
// alembic version `optuna_schema`: "v3.2.0.a" (Optuna from 3.2 on) or "v3.0.0.d" (3.0 and 3.1).
void export_for_optuna(std::string_view url, std::string_view optuna_schema,
                       const std::filesystem::path& file);

}  // namespace retort::study
