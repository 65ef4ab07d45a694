// Where a search keeps what it finished. What comes back after a crash is exactly what was announced before
// it.
//
// A storage holds named documents (settings, the plan, the teacher) and trials, all as JSON text: it knows
// nothing of what they mean. Another database is another implementation of this seam, held to the same
// contract tests.
#pragma once

#include <cstdint>
#include <filesystem>
#include <memory>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

namespace retort::study {

enum class TrialState { Waiting, Running, Complete, Skipped, Infeasible, Failed };
std::string_view to_string(TrialState state);  // "WAITING", …
TrialState parse_trial_state(std::string_view name);

inline bool is_finished(TrialState state) {
  return state != TrialState::Waiting && state != TrialState::Running;
}

struct StageRecord {
  std::string name;
  std::string result;  // JSON
  bool operator==(const StageRecord&) const = default;
};

struct TrialRecord {
  int number = 0;  // from 0, in the order of adding
  TrialState state = TrialState::Waiting;
  std::string proposal;  // JSON: what is to be tried
  std::string result;    // JSON; empty until finished
  std::vector<StageRecord> stages;
  bool operator==(const TrialRecord&) const = default;
};

// Every call is one transaction: when it returns, its change survives the death of the process. Safe to use
// from several threads. Errors are Error(Failure) with one sentence that names the place.
class Storage {
 public:
  virtual ~Storage() = default;

  virtual void put_document(std::string_view key, std::string_view json) = 0;
  [[nodiscard]] virtual std::optional<std::string> document(std::string_view key) const = 0;

  // Adds waiting trials, all or none, and returns the first one's number.
  virtual int add_trials(const std::vector<std::string>& proposals) = 0;
  // Takes the waiting trial with the smallest number: it is Running from now on. Nothing when none waits.
  virtual std::optional<TrialRecord> claim() = 0;
  // Running trials wait again, their stages kept: their worker is gone. Returns how many.
  virtual int release_running() = 0;
  // Stores a stage of a running trial; one of the same name is replaced (a trial that goes on after a crash
  // repeats what was not stored). Error(Failure) when the trial does not run.
  virtual void put_stage(int trial, const StageRecord& stage) = 0;
  // Ends a running trial. Error(Failure) when it does not run, so that nothing is counted twice.
  virtual void finish(int trial, TrialState state, std::string_view result) = 0;

  [[nodiscard]] virtual std::vector<TrialRecord> trials() const = 0;  // by number
};

std::unique_ptr<Storage> make_memory_storage();

// A SQLite database, made when it does not exist. Error(Failure) for a damaged file, one that is no study, or
// one of a newer version of this program.
std::unique_ptr<Storage> open_sqlite_storage(const std::filesystem::path& path);
// One that exists, to read: nothing in its folder is changed, nor need be allowed to. Every call that writes
// is an Error(Failure).
std::unique_ptr<Storage> open_sqlite_storage_to_read(const std::filesystem::path& path);

}  // namespace retort::study
