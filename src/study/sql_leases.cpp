#include <algorithm>
#include <array>
#include <chrono>
#include <cmath>
#include <ctime>
#include <set>
#include <utility>

#include "base/error.h"
#include "base/file.h"
#include "study/sql_storage.h"

namespace retort::study {
namespace {

constexpr std::string_view kLosses = "retort:losses";  // ClaimedTrial's

// A column beside it says what it is when it is no number.
struct OptunaNumber {
  Value value;
  std::string_view type;
};
OptunaNumber optuna_number(double value) {
  if (std::isnan(value)) return {nullptr, "NAN"};
  if (std::isinf(value)) return {nullptr, value > 0 ? "INF_POS" : "INF_NEG"};
  return {value, "FINITE"};
}
// Local time, as Optuna writes it.
std::string time_of_day() {
  const auto now = std::chrono::system_clock::now();
  const std::time_t seconds = std::chrono::system_clock::to_time_t(now);
  const auto micros = std::chrono::duration_cast<std::chrono::microseconds>(now.time_since_epoch()).count();
  std::tm local{};
  localtime_r(&seconds, &local);
  std::array<char, 32> text{};
  const size_t size = std::strftime(text.data(), text.size(), "%Y-%m-%d %H:%M:%S", &local);
  return fmt::format("{}.{:06d}", std::string_view(text.data(), size), micros % 1'000'000);
}

// Of a row of trial_id, number, attempt, proposal.
ClaimedTrial claimed_trial(std::vector<Cell>& row, std::string_view worker, int attempt) {
  ClaimedTrial out;
  out.claim = {.trial = integer(row[1]), .worker = std::string(worker), .attempt = attempt};
  out.trial = {.number = out.claim.trial,
               .state = TrialState::Running,
               .proposal = std::move(row[3]).value_or(""),
               .result = {},
               .stages = {}};
  return out;
}

}  // namespace

std::string_view identity_of(std::string_view worker) {
  return worker.substr(worker.rfind('#') + 1);  // npos + 1 is 0
}
std::string_view display_of(std::string_view worker) {
  return worker.substr(0, worker.rfind('#'));
}

std::optional<ClaimedTrial> SqlStorage::claim(std::string_view worker, double lease_seconds, int below) {
  if (is_time_to_look(lease_seconds)) release_expired();
  std::optional<ClaimedTrial> out;
  const Taker taker{.worker = worker, .lease_seconds = lease_seconds, .below = below, .token = random_hex()};
  bool tried = false;
  const auto try_to = [&](Connection& sql) {
    // An earlier try may be about to end, and has its trial's row until then: another one would be taken beside it.
    if (out)
      sql.run("SELECT 1 FROM retort_trials WHERE study_id=$1 AND number=$2" +
                  std::string(database_->dialect().for_update),
              {study_, int64_t{out->claim.trial}});
    out = tried ? taken(sql, taker) : std::nullopt;
    if (!out) out = take(sql, taker);
    tried = true;
  };
  write(try_to);
  if (!out && release_expired() > 0) write(try_to);
  return out;
}

bool SqlStorage::may_claim(int below) const {
  bool may = false;
  read([&](Connection& sql) {
    may = !sql.run("SELECT 1 FROM retort_trials WHERE study_id=$1 AND state='WAITING' AND number<$2 LIMIT 1",
                   {study_, int64_t{below}})
               .rows.empty() ||
          !sql.run(fmt::format(
                       "SELECT 1 FROM retort_leases l JOIN retort_trials t ON t.trial_id=l.trial_id"
                       " WHERE t.study_id=$1 AND t.number<$2 AND (l.clock<>$3 OR {0}-l.beat_at>l.seconds"
                       " OR l.beat_at>{0}+1) LIMIT 1",
                       database_->now()),
                   {study_, int64_t{below}, database_->clock()})
               .rows.empty();
  });
  return may;
}

std::vector<Claim> SqlStorage::heartbeat(std::span<const Claim> claims) {
  std::vector<Claim> lost;
  write([&](Connection& sql) {
    lost.clear();
    const std::string time = time_of_day();
    for (const Claim& claim : claims) {
      const Result beat = sql.run(
          fmt::format("UPDATE retort_leases SET beat_at={}, clock=$1 WHERE worker=$2 AND attempt=$3 AND"
                      " trial_id=(SELECT trial_id FROM retort_trials WHERE study_id=$4 AND number=$5)"
                      " RETURNING trial_id",
                      database_->now()),
          {database_->clock(), claim.worker, int64_t{claim.attempt}, study_, int64_t{claim.trial}});
      if (beat.rows.empty())
        lost.push_back(claim);
      else
        sql.run(
            "INSERT INTO trial_heartbeats (trial_id, heartbeat) VALUES ($1, $2)"
            " ON CONFLICT (trial_id) DO UPDATE SET heartbeat=excluded.heartbeat",
            {int64_t{integer(beat.rows[0].at(0))}, time});
    }
  });
  return lost;
}

int SqlStorage::release(std::string_view worker, Loss loss) {
  return release_where("(l.worker=$2 OR l.worker LIKE '%#' || $2)", identity_of(worker), loss);
}

int SqlStorage::release_expired() {
  // The server's clock was set back: what was written before counts from here.
  if (database_->dialect().clock_may_be_set_back) {
    bool set_back = false;
    read([&](Connection& sql) {
      set_back = !sql.run(fmt::format("SELECT 1 FROM retort_leases WHERE clock=$1 AND beat_at>{}+1 LIMIT 1",
                                      database_->now()),
                          {database_->clock()})
                      .rows.empty();
    });
    if (set_back)
      write([&](Connection& sql) {
        sql.run(fmt::format("UPDATE retort_leases SET beat_at={0} WHERE clock=$1 AND beat_at>{0}+1",
                            database_->now()),
                {database_->clock()});
      });
  }
  return release_where(fmt::format("(l.clock<>$2 OR {}-l.beat_at>l.seconds)", database_->now()),
                       database_->clock(), Loss::Counts);
}

void SqlStorage::put_stage(const Claim& claim, const StageRecord& stage,
                           std::span<const IntermediateValue> values) {
  write([&](Connection& sql) {
    const int64_t trial = held(sql, claim);
    sql.run(
        "INSERT INTO retort_stages VALUES ($1, $2,"
        " (SELECT count(*) FROM retort_stages WHERE trial_id=$1), $3)"
        " ON CONFLICT (trial_id, name) DO UPDATE SET result=excluded.result",
        {trial, stage.name, stage.result});
    forget_losses(sql, trial);
    insert_values(sql, trial, values);
  });
}

void SqlStorage::put_values(const Claim& claim, std::span<const IntermediateValue> values) {
  write([&](Connection& sql) {
    const int64_t trial = held(sql, claim);
    if (!values.empty()) forget_losses(sql, trial);
    insert_values(sql, trial, values);
  });
}

void SqlStorage::insert_values(Connection& sql, int64_t trial, std::span<const IntermediateValue> values) {
  Rows rows;
  for (const IntermediateValue& value : values) {
    const OptunaNumber number = optuna_number(value.value);
    rows.push_back({trial, int64_t{value.step}, number.value, number.type});
  }
  insert_rows(sql, "trial_intermediate_values", "trial_id, step, intermediate_value, intermediate_value_type",
              rows,
              "ON CONFLICT (trial_id, step) DO UPDATE SET intermediate_value=excluded.intermediate_value,"
              " intermediate_value_type=excluded.intermediate_value_type");
}

std::vector<Lease> SqlStorage::leases() const {
  std::vector<Lease> out;
  read([&](Connection& sql) {
    out.clear();
    for (auto& row :
         sql.run(fmt::format("SELECT t.number, l.worker, l.attempt, l.clock, {}-l.beat_at, l.seconds"
                             " FROM retort_leases l JOIN retort_trials t ON t.trial_id=l.trial_id"
                             " WHERE t.study_id=$1 ORDER BY t.number",
                             database_->now()),
                 {study_})
             .rows)
      out.push_back({.trial = integer(row[0]),
                     .worker = std::move(row[1]).value_or(""),
                     .attempt = integer(row[2]),
                     .silent_seconds = row[3] == database_->clock() ? std::max(real(row[4]), 0.0) : HUGE_VAL,
                     .seconds = real(row[5])});
  });
  return out;
}

void SqlStorage::put_checkpoint(const Claim& claim, std::span<const uint8_t> bytes) {
  // Outside of the transaction where it is a file; one that nobody needs then goes again.
  const std::string sha256 = put_artefact(bytes);
  std::set<std::string> outdated;  // also by a try whose answer was lost
  try {
    write([&](Connection& sql) {
      const int64_t trial = held(sql, claim);
      const auto before = find_checkpoint(sql, trial);
      sql.run(
          "INSERT INTO retort_checkpoints VALUES ($1, $2, $3)"
          " ON CONFLICT (trial_id) DO UPDATE SET worker=excluded.worker, sha256=excluded.sha256",
          {trial, claim.worker, sha256});
      forget_losses(sql, trial);
      if (!before || before->sha256 == sha256) return;
      drop_artefact(sql, before->sha256);
      outdated.insert(before->sha256);
    });
  } catch (const LostLease&) {
    bool needed = false;
    write([&](Connection& sql) {
      // Whoever has the trial now may have come to the very same.
      needed = !sql.run("SELECT 1 FROM retort_checkpoints WHERE sha256=$1", {sha256}).rows.empty();
      if (!needed) drop_artefact(sql, sha256);
    });
    if (!needed) remove_artefact_file(sha256);
    throw;
  }
  for (const std::string& before : outdated) remove_artefact_file(before);
}

void SqlStorage::finish(const Claim& claim, const Ending& ending) {
  if (!is_finished(ending.state)) throw_failure("a trial cannot end as {}", to_string(ending.state));
  if (std::ranges::any_of(ending.values, [](double value) { return std::isnan(value); }))
    throw_failure("trial {} cannot end with a value that is no number", claim.trial);
  std::string checkpoint;
  write([&](Connection& sql) {
    if (ending.state == TrialState::Complete && ending.values.size() != find_objectives(sql).size())
      throw_failure("trial {} ends with {} values for {} objectives", claim.trial, ending.values.size(),
                    find_objectives(sql).size());
    const auto trial = held_unless_done(sql, claim, ending.state);
    if (!trial) return;
    checkpoint = leave(sql, *trial, ending.state, ending.result);
    put_ending(sql, *trial, ending);
  });
  remove_artefact_file(checkpoint);
}

void SqlStorage::put_ending(Connection& sql, int64_t trial, const Ending& ending) {
  Rows values;
  for (const double value : ending.values) {
    const OptunaNumber number = optuna_number(value);
    values.push_back({trial, static_cast<int64_t>(values.size()), number.value, number.type});
  }
  insert_rows(sql, "trial_values", "trial_id, objective, value, value_type", values);
  Rows attributes;
  for (const Attribute& attribute : ending.attributes)
    attributes.push_back({trial, attribute.name, attribute.json});
  put_attributes(sql, "trial_user_attributes", attributes);
}

void SqlStorage::give_back(const Claim& claim) {
  write([&](Connection& sql) {
    if (const auto trial = held_unless_done(sql, claim, TrialState::Waiting))
      leave(sql, *trial, TrialState::Waiting, "");
  });
}

TrialState SqlStorage::crash(const Claim& claim, const Ending& ending, int most_crashes) {
  TrialState state = TrialState::Waiting;
  std::string checkpoint;
  write([&](Connection& sql) {
    state = TrialState::Waiting;
    const auto trial = find_held(sql, claim);
    if (!trial) {
      if (was_done(sql, claim, TrialState::Failed))
        state = TrialState::Failed;
      else if (!was_done(sql, claim, TrialState::Waiting))
        throw LostLease(claim);
      return;
    }
    const int crashes = integer(
        sql.run("UPDATE retort_trials SET crashes=crashes+1 WHERE trial_id=$1 RETURNING crashes", {*trial})
            .rows.at(0)
            .at(0));
    if (crashes >= most_crashes) state = TrialState::Failed;
    checkpoint = leave(sql, *trial, state, state == TrialState::Failed ? ending.result : "");
    if (state == TrialState::Failed) put_ending(sql, *trial, ending);
  });
  remove_artefact_file(checkpoint);
  return state;
}

void SqlStorage::retry(int trial, const Ending& ending) {
  write([&](Connection& sql) {
    check_lead(sql);
    // What its worker still says comes too late.
    const Result found = sql.run(
        "UPDATE retort_trials SET state='WAITING', result='', crashes=0, worker=''"
        " WHERE study_id=$1 AND number=$2 AND state='FAILED' RETURNING trial_id",
        {study_, int64_t{trial}});
    if (found.rows.empty()) return;
    const int64_t id = integer(found.rows[0].at(0));
    sql.run("UPDATE trials SET state=$1, datetime_complete=NULL WHERE trial_id=$2",
            {optuna_state(TrialState::Waiting), id});
    for (const Attribute& attribute : ending.attributes)
      sql.run("DELETE FROM trial_user_attributes WHERE trial_id=$1 AND \"key\"=$2", {id, attribute.name});
    for (const char* table : {"retort_stages", "trial_intermediate_values"})
      sql.run(fmt::format("DELETE FROM {} WHERE trial_id=$1", table), {id});
    forget_losses(sql, id);
  });
}

std::optional<ClaimedTrial> SqlStorage::take(Connection& sql, const Taker& taker) {
  Result found = sql.run(
      "SELECT trial_id, number, attempt, proposal FROM retort_trials"
      " WHERE study_id=$1 AND state='WAITING' AND number<$2 ORDER BY number LIMIT 1" +
          std::string(database_->dialect().skip_locked),
      {study_, int64_t{taker.below}});
  if (found.rows.empty()) return std::nullopt;
  std::vector<Cell>& row = found.rows[0];
  const int64_t trial = integer(row[0]);
  ClaimedTrial out = claimed_trial(row, taker.worker, integer(row[2]) + 1);
  const int64_t attempt = out.claim.attempt;
  sql.run("UPDATE retort_trials SET state='RUNNING', worker=$1, attempt=$2 WHERE trial_id=$3",
          {taker.worker, attempt, trial});
  sql.run("UPDATE trials SET state='RUNNING', datetime_start=coalesce(datetime_start, $1) WHERE trial_id=$2",
          {time_of_day(), trial});
  sql.run(fmt::format("INSERT INTO retort_leases (trial_id, worker, attempt, clock, beat_at, seconds, token)"
                      " VALUES ($1, $2, $3, $4, {}, $5, $6)",
                      database_->now()),
          {trial, taker.worker, attempt, database_->clock(), taker.lease_seconds, taker.token});
  add_history(sql, trial, out);
  return out;
}

// What a call has claimed whose answer was lost.
std::optional<ClaimedTrial> SqlStorage::taken(Connection& sql, const Taker& taker) {
  Result found = sql.run(
      "SELECT t.trial_id, t.number, t.attempt, t.proposal FROM retort_trials t JOIN retort_leases l"
      " ON l.trial_id=t.trial_id WHERE t.study_id=$1 AND l.worker=$2 AND l.token=$3",
      {study_, taker.worker, taker.token});
  if (found.rows.empty()) return std::nullopt;
  std::vector<Cell>& row = found.rows[0];
  const int64_t trial = integer(row[0]);
  ClaimedTrial out = claimed_trial(row, taker.worker, integer(row[2]));
  add_history(sql, trial, out);
  return out;
}

// What came of earlier attempts.
void SqlStorage::add_history(Connection& sql, int64_t trial, ClaimedTrial& claimed) {
  if (claimed.claim.attempt <= 1) return;
  claimed.losses = losses(sql, trial);
  claimed.checkpoint = find_checkpoint(sql, trial);
  for (auto& stage :
       sql.run("SELECT name, result FROM retort_stages WHERE trial_id=$1 ORDER BY position", {trial}).rows)
    claimed.trial.stages.push_back({std::move(stage[0]).value_or(""), std::move(stage[1]).value_or("")});
}

void SqlStorage::forget_losses(Connection& sql, int64_t trial) {
  sql.run("DELETE FROM trial_system_attributes WHERE trial_id=$1 AND \"key\"=$2", {trial, kLosses});
}

int SqlStorage::losses(Connection& sql, int64_t trial) {
  const Result found = sql.run(
      "SELECT value_json FROM trial_system_attributes WHERE trial_id=$1 AND \"key\"=$2", {trial, kLosses});
  return found.rows.empty() ? 0 : integer(found.rows[0].at(0));
}

std::optional<int64_t> SqlStorage::find_held(Connection& sql, const Claim& claim) const {
  const Result found = sql.run(
      "SELECT trial_id FROM retort_trials WHERE study_id=$1 AND number=$2 AND state='RUNNING' AND worker=$3"
      " AND attempt=$4" +
          std::string(database_->dialect().for_update),
      {study_, int64_t{claim.trial}, claim.worker, int64_t{claim.attempt}});
  if (found.rows.empty()) return std::nullopt;
  return integer(found.rows[0].at(0));
}

int64_t SqlStorage::held(Connection& sql, const Claim& claim) const {
  const auto trial = find_held(sql, claim);
  if (!trial) throw LostLease(claim);
  return *trial;
}

std::optional<int64_t> SqlStorage::held_unless_done(Connection& sql, const Claim& claim,
                                                    TrialState state) const {
  auto trial = find_held(sql, claim);
  if (!trial && !was_done(sql, claim, state)) throw LostLease(claim);
  return trial;
}

bool SqlStorage::was_done(Connection& sql, const Claim& claim, TrialState state) const {
  return !sql.run(
                 "SELECT 1 FROM retort_trials WHERE study_id=$1 AND number=$2 AND state=$3 AND worker=$4 "
                 "AND"
                 " attempt=$5",
                 {study_, int64_t{claim.trial}, to_string(state), claim.worker, int64_t{claim.attempt}})
              .rows.empty();
}

std::string SqlStorage::leave(Connection& sql, int64_t trial, TrialState state, std::string_view result) {
  sql.run("UPDATE retort_trials SET state=$1, result=$2 WHERE trial_id=$3",
          {to_string(state), result, trial});
  sql.run("DELETE FROM retort_leases WHERE trial_id=$1", {trial});
  if (!is_finished(state)) {
    sql.run("UPDATE trials SET state=$1 WHERE trial_id=$2", {optuna_state(state), trial});
    return {};
  }
  sql.run("UPDATE trials SET state=$1, datetime_complete=$2 WHERE trial_id=$3",
          {optuna_state(state), time_of_day(), trial});
  const auto checkpoint = find_checkpoint(sql, trial);
  if (!checkpoint) return {};
  sql.run("DELETE FROM retort_checkpoints WHERE trial_id=$1", {trial});
  drop_artefact(sql, checkpoint->sha256);
  return checkpoint->sha256;
}

std::optional<Checkpoint> SqlStorage::find_checkpoint(Connection& sql, int64_t trial) {
  Result found = sql.run("SELECT worker, sha256 FROM retort_checkpoints WHERE trial_id=$1", {trial});
  if (found.rows.empty()) return std::nullopt;
  std::vector<Cell>& row = found.rows[0];
  return Checkpoint{.worker = std::move(row[0]).value_or(""), .sha256 = std::move(row[1]).value_or("")};
}

void SqlStorage::drop_artefact(Connection& sql, std::string_view sha256) {
  sql.run("DELETE FROM retort_artefacts WHERE sha256=$1", {sha256});
}

void SqlStorage::remove_artefact_file(const std::string& sha256) const noexcept {
  if (place_.artefacts.empty() || sha256.empty()) return;
  std::error_code ignored;  // a file that stays only takes room
  std::filesystem::remove(place_.artefacts / sha256, ignored);
}

int SqlStorage::release_where(const std::string& condition, std::string_view value, Loss loss) {
  std::set<int64_t> released;  // also by a try whose answer was lost
  write([&](Connection& sql) {
    // The trial's row is the one that everybody locks first.
    const Result found = sql.run(
        fmt::format("SELECT t.trial_id FROM retort_trials t JOIN retort_leases l ON l.trial_id=t.trial_id"
                    " WHERE t.study_id=$1 AND {}{}",
                    condition, database_->dialect().skip_locked),
        {study_, value});
    for (const auto& row : found.rows) {
      const int64_t trial = integer(row[0]);
      leave(sql, trial, TrialState::Waiting, "");
      if (loss == Loss::Counts) {
        const std::string count = fmt::format("{}", losses(sql, trial) + 1);
        put_attributes(sql, "trial_system_attributes", {{trial, kLosses, count}});
      }
      // What its worker still says comes too late.
      sql.run("UPDATE retort_trials SET worker='' WHERE trial_id=$1", {trial});
      released.insert(trial);
    }
  });
  return static_cast<int>(released.size());
}

bool SqlStorage::is_time_to_look(double lease_seconds) {
  using Clock = std::chrono::steady_clock;
  const std::lock_guard lock(mutex_);
  const auto now = Clock::now();
  if (now < next_look_) return false;
  next_look_ =
      now + std::chrono::duration_cast<Clock::duration>(std::chrono::duration<double>(lease_seconds / 4));
  return true;
}

}  // namespace retort::study
