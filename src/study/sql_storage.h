// The one Storage: SQL that SQLite and PostgreSQL read alike. Private to this room.
//
// sql_storage.cpp opens a study and keeps its documents and artefacts, sql_trials.cpp adds trials and reads
// them, sql_leases.cpp takes them through their lives, sql_lead.cpp knows who leads.
#pragma once

#include <atomic>
#include <chrono>
#include <map>
#include <memory>
#include <mutex>
#include <optional>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "study/database.h"

namespace retort::study {

using Rows = std::vector<std::vector<Value>>;

// Who claims: the token tells a call whose answer was lost what it has claimed.
struct Taker {
  std::string_view worker;
  double lease_seconds = 0;
  int below = 0;
  std::string token;
};

class SqlStorage final : public Storage {
 public:
  // With objectives it makes what is missing.
  SqlStorage(std::shared_ptr<Database> database, Place place, Access access,
             const std::vector<Objective>* objectives);

  [[nodiscard]] std::unique_ptr<Storage> beside(std::string_view study,
                                                const std::vector<Objective>& objectives) const override;
  std::optional<Leader> lead(std::string_view name, double lease_seconds) override;
  bool renew_lead() override;
  void resign() override;
  void put_document(std::string_view key, std::string_view text) override;
  [[nodiscard]] std::optional<std::string> document(std::string_view key) const override;
  [[nodiscard]] std::vector<Objective> objectives() const override;
  bool add_trials(int expected_count, std::span<const NewTrial> trials) override;
  std::optional<ClaimedTrial> claim(std::string_view worker, double lease_seconds, int below) override;
  [[nodiscard]] bool may_claim(int below) const override;
  std::vector<Claim> heartbeat(std::span<const Claim> claims) override;
  int release(std::string_view worker, Loss loss) override;
  int release_expired() override;
  void put_stage(const Claim& claim, const StageRecord& stage,
                 std::span<const IntermediateValue> values) override;
  void put_values(const Claim& claim, std::span<const IntermediateValue> values) override;
  void put_checkpoint(const Claim& claim, std::span<const uint8_t> bytes) override;
  void finish(const Claim& claim, const Ending& ending) override;
  void give_back(const Claim& claim) override;
  TrialState crash(const Claim& claim, const Ending& ending, int most_crashes) override;
  void retry(int trial, const Ending& ending) override;
  [[nodiscard]] std::vector<TrialRecord> trials(const Reading& reading) const override;
  [[nodiscard]] TrialRecord trial(int number) const override;
  [[nodiscard]] std::map<TrialState, int> counts() const override;
  [[nodiscard]] int unfinished(int below) const override;
  [[nodiscard]] TrialDetails details(int number) const override;
  [[nodiscard]] std::vector<TrialDetails> details(int first, int last) const override;
  [[nodiscard]] std::vector<Lease> leases() const override;
  std::string put_artefact(std::span<const uint8_t> bytes) override;
  [[nodiscard]] std::vector<uint8_t> artefact(std::string_view sha256) const override;
  [[nodiscard]] std::filesystem::path artefact_folder() const override { return place_.artefacts; }

 private:
  void read(const std::function<void(Connection&)>& body) const;
  void write(const std::function<void(Connection&)>& body);
  // Says as an Error that the database holds what no study has.
  void transact(Transaction kind, const std::function<void(Connection&)>& body) const;

  void make_tables(Connection& sql);
  void refuse_earlier_format(Connection& sql);
  int check_tables(Connection& sql);  // their version
  std::optional<int64_t> find_study(Connection& sql) const;
  void make_study(Connection& sql, const std::vector<Objective>& objectives);
  std::vector<Objective> find_objectives(Connection& sql) const;
  std::optional<std::string> find_document(Connection& sql, std::string_view key) const;

  void insert_trials(Connection& sql, int first, std::span<const NewTrial> trials);
  static void insert_values(Connection& sql, int64_t trial, std::span<const IntermediateValue> values);
  static void put_attributes(Connection& sql, std::string_view table, const Rows& rows);
  std::vector<TrialRecord> find_trials(Connection& sql, const Reading& reading) const;
  // LostLead when this storage led and another does now.
  void check_lead(Connection& sql) const;
  [[nodiscard]] bool has_trials(Connection& sql, int first, std::span<const NewTrial> trials) const;
  std::optional<ClaimedTrial> take(Connection& sql, const Taker& taker);
  std::optional<ClaimedTrial> taken(Connection& sql, const Taker& taker);
  static void add_history(Connection& sql, int64_t trial, ClaimedTrial& claimed);
  static int losses(Connection& sql, int64_t trial);
  // An epoch, a checkpoint or a stage came: what was lost before does not count any more.
  static void forget_losses(Connection& sql, int64_t trial);
  static void put_ending(Connection& sql, int64_t trial, const Ending& ending);
  // The trial's id, its row locked; LostLease unless the claim holds it.
  int64_t held(Connection& sql, const Claim& claim) const;
  std::optional<int64_t> find_held(Connection& sql, const Claim& claim) const;
  // Nothing where this very claim has brought it into that state before. In this order: a call's first try may be about to
  // end when the second one asks, which waits for it by the trial's row.
  std::optional<int64_t> held_unless_done(Connection& sql, const Claim& claim, TrialState state) const;
  // Whether this very claim has brought the trial into that state before: its answer was lost.
  bool was_done(Connection& sql, const Claim& claim, TrialState state) const;
  // Running no longer. Returns the artefact that goes with it, if any.
  static std::string leave(Connection& sql, int64_t trial, TrialState state, std::string_view result);
  static std::optional<Checkpoint> find_checkpoint(Connection& sql, int64_t trial);
  // The database's part of it; and the file that it may be, once that is certain.
  static void drop_artefact(Connection& sql, std::string_view sha256);
  void remove_artefact_file(const std::string& sha256) const noexcept;
  int release_where(const std::string& condition, std::string_view value, Loss loss);
  // Several times in a lease.
  bool is_time_to_look(double lease_seconds);

  std::shared_ptr<Database> database_;
  Place place_;
  Access access_;
  int64_t study_ = 0;
  std::atomic<int64_t> fence_ = 0;  // of its lead, which grows with each that is taken; 0: it has never led
  std::mutex mutex_;
  std::chrono::steady_clock::time_point next_look_{};
};

// What Optuna calls it.
std::string_view optuna_state(TrialState state);

}  // namespace retort::study
