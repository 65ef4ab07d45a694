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
//                   ↑ ↑                 │
//                   │ └── lease lost ───┤
//                   └──── crash ────────┘ (the last one allowed: Failed)
//
// Where what a trial has failed for is there no more, retry() lets it wait again.
//
// Whoever claims a trial holds it on a lease that heartbeat() renews (lease_keeper.h does). Who does not
// renew it in time, being dead or hung, loses it to the next one that claims; its late calls throw LostLease
// and change nothing. A call whose answer was lost on the way is carried out again, and comes to the same.
//
// Who adds trials and writes documents leads the study, on a lease too: lead().
//
// A worker's or leader's name ends in who it is: what follows its last '#', or all of it. What stands before is for
// people, such as the machine that it is on at the moment.
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
#include <stop_token>
#include <string>
#include <string_view>
#include <vector>

#include "base/error.h"

namespace retort::study {

enum class TrialState { Waiting, Running, Complete, Skipped, Infeasible, Failed };
std::string_view to_string(TrialState state);  // "WAITING", …
TrialState parse_trial_state(std::string_view name);

inline bool is_finished(TrialState state) {
  return state != TrialState::Waiting && state != TrialState::Running;
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

// The parts of a worker's name.
std::string_view identity_of(std::string_view worker);
std::string_view display_of(std::string_view worker);

// The right to a trial, good as long as nobody else has claimed it.
struct Claim {
  int trial = 0;
  std::string worker;
  int attempt = 0;
  bool operator==(const Claim&) const = default;
};
// Where a trial was when its holder last said so.
struct Checkpoint {
  std::string worker;
  std::string sha256;  // of an artefact
  bool operator==(const Checkpoint&) const = default;
};
struct ClaimedTrial {
  Claim claim;
  TrialRecord trial;
  int losses =
      0;  // leases of it that were lost one after the other without an epoch, a checkpoint or a stage
  std::optional<Checkpoint> checkpoint;
};

// Which trials are read and what of them: those of a large study take their time.
enum class Stages { None, Names, Whole };
struct Reading {
  int first = 0;
  int last = INT_MAX;
  bool finished = true;  // those that are finished, too
  bool proposals = true;
  bool results = true;
  Stages stages = Stages::Whole;
};

// Who has a running trial, and since when nothing was heard of them.
struct Lease {
  int trial = 0;
  std::string worker;
  int attempt = 0;
  double silent_seconds = 0;  // infinite where its clock is gone (the machine was started anew)
  double seconds = 0;         // of silence after which another may take it
};

// Who leads a study.
struct Leader {
  std::string name;
  double silent_seconds = 0;  // since they were heard of
  double seconds = 0;         // of silence after which another may take over
};

// What a worker's loss says of a trial that it had.
enum class Loss { Counts, OthersDoing };

// The trial was claimed by another worker or ended: its lease was lost.
class LostLease : public Error {
 public:
  explicit LostLease(const Claim& claim)
      : Error(ErrorCode::Failure, fmt::format("trial {} is no longer held by {} (attempt {})", claim.trial,
                                              display_of(claim.worker), claim.attempt)) {}
};

// Another process leads the study now.
class LostLead : public Error {
 public:
  explicit LostLead(const std::string& study)
      : Error(
            ErrorCode::Failure,
            fmt::format("study '{}' was taken over by another search, because nothing was heard of this one "
                        "(stopped, or the computer asleep); what it finished is stored",
                        study)) {}
};

// Every call is one transaction: when it returns, its change survives the death of the process, and on a full
// disk nothing has changed. Safe to use from several threads. Where the database's server cannot be reached a
// call waits for it, a few minutes at most, or until its place's stop. Errors are Error(Failure) with one sentence that
// names the place.
class Storage {
 public:
  virtual ~Storage() = default;

  // Another study of the same database, over the same connections, made when there is none; as open_storage() gives it.
  [[nodiscard]] virtual std::unique_ptr<Storage> beside(std::string_view study,
                                                        const std::vector<Objective>& objectives) const = 0;

  // Takes the lead of the study, for whoever adds its trials and writes its documents. Nobody else can have it then before
  // resign(), or before renew_lead() was silent for `lease_seconds`. Returns who has it instead, if anybody. One of
  // the same identity is an earlier process of the caller's, and gone. Once another has taken the lead over,
  // put_document() and add_trials() of this storage throw LostLead. A storage that has never led may always write.
  virtual std::optional<Leader> lead(std::string_view name, double lease_seconds) = 0;
  virtual bool renew_lead() = 0;  // false: it is lost
  virtual void resign() = 0;

  virtual void put_document(std::string_view key, std::string_view json) = 0;
  [[nodiscard]] virtual std::optional<std::string> document(std::string_view key) const = 0;

  [[nodiscard]] virtual std::vector<Objective> objectives() const = 0;

  // Adds waiting trials, all of them, if there are `expected_count` trials now; else none, and false. So any
  // worker may compute the next trials from those below a boundary, and one of them wins.
  virtual bool add_trials(int expected_count, std::span<const NewTrial> trials) = 0;

  // Takes the waiting trial with the smallest number below `below`. Nothing when none waits. `worker` is the
  // caller's own name: no other process uses it.
  virtual std::optional<ClaimedTrial> claim(std::string_view worker, double lease_seconds,
                                            int below = INT_MAX) = 0;
  // Whether there may be one to claim: one waits, or a lease has run out. Only reads, for those who ask again and again.
  [[nodiscard]] virtual bool may_claim(int below = INT_MAX) const = 0;
  // Renews the leases; returns those that are lost.
  virtual std::vector<Claim> heartbeat(std::span<const Claim> claims) = 0;
  // Trials held by `worker` (its identity) wait again, their stages kept, as leases that were lost: for one that
  // knows that an earlier process of its own is gone. Whether that counts as a loss of theirs: not where another
  // trial has ended the process. Returns how many.
  virtual int release(std::string_view worker, Loss loss = Loss::Counts) = 0;
  // The same for leases that have run out; claim() does it now and then.
  virtual int release_expired() = 0;

  // All of these throw LostLease.
  // Stores a stage; one of the same name is replaced (a trial that goes on after a crash repeats what was not
  // stored), and so are values of the same step.
  virtual void put_stage(const Claim& claim, const StageRecord& stage,
                         std::span<const IntermediateValue> values = {}) = 0;
  // Values of a stage that is not finished, for those who watch. put_stage() says them again.
  virtual void put_values(const Claim& claim, std::span<const IntermediateValue> values) = 0;
  // Keeps these bytes, which are no other trial's, as an artefact for whoever claims the trial next, in place of those of
  // before. They go when the trial ends.
  virtual void put_checkpoint(const Claim& claim, std::span<const uint8_t> bytes) = 0;
  virtual void finish(const Claim& claim, const Ending& ending) = 0;
  // It waits again, and nothing was lost: for a worker that ends in order.
  virtual void give_back(const Claim& claim) = 0;
  // An error of the trial's own: it waits for another attempt, or ends so (as Failed) when it has crashed
  // `most_crashes` times. Returns what it is now.
  virtual TrialState crash(const Claim& claim, const Ending& ending, int most_crashes) = 0;

  // A trial that has failed with this ending waits again, as if it had never been tried: the ending's result and attributes
  // go. Nothing changes for one in another state. Whoever leads calls it.
  virtual void retry(int trial, const Ending& ending) = 0;

  // By number; what is not read is empty.
  [[nodiscard]] virtual std::vector<TrialRecord> trials(const Reading& reading) const = 0;
  [[nodiscard]] std::vector<TrialRecord> trials() const { return trials(Reading{}); }
  [[nodiscard]] int trial_count() const;
  [[nodiscard]] virtual TrialRecord trial(int number) const = 0;
  [[nodiscard]] virtual std::map<TrialState, int> counts() const = 0;
  // How many below this number wait or run.
  [[nodiscard]] virtual int unfinished(int below = INT_MAX) const = 0;
  [[nodiscard]] virtual TrialDetails details(int trial) const = 0;
  // Of the trials from `first` to `last` that there are, by number.
  [[nodiscard]] virtual std::vector<TrialDetails> details(int first, int last) const = 0;
  [[nodiscard]] virtual std::vector<Lease> leases() const = 0;  // by trial

  // Keeps bytes under their SHA-256 in hexadecimal, which it returns. One file of a place's artefact folder
  // where it has one, else a row of the database.
  virtual std::string put_artefact(std::span<const uint8_t> bytes) = 0;
  // Error(Failure) when it is missing, or its bytes have another hash.
  [[nodiscard]] virtual std::vector<uint8_t> artefact(std::string_view sha256) const = 0;
  // Where it puts them; empty: into the database.
  [[nodiscard]] virtual std::filesystem::path artefact_folder() const = 0;
};

inline constexpr std::string_view kDefaultStudy = "retort";

struct Place {
  std::string url;  // postgresql://…, sqlite:FILE or FILE
  std::string study{kDefaultStudy};
  std::filesystem::path artefacts{};  // folder shared by the workers; empty: artefacts are in the database
  // Of whoever uses it: once requested no call waits for a server that is gone, or goes on for long.
  std::stop_token stop{};
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

// Writes Optuna's tables of a database as a new SQLite file in the schema of Optuna's alembic version
// `optuna_schema`: "v3.2.0.a" (Optuna from 3.2 on) or "v3.0.0.d" (3.0 and 3.1). Of these studies, or of all where none is
// named; Error(Usage) for one that is not there. Takes the memory of a few hundred trials.
void export_for_optuna(std::string_view url, std::string_view optuna_schema,
                       const std::filesystem::path& file, std::span<const std::string> studies = {});

}  // namespace retort::study
