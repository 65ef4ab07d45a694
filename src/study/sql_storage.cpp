// The one Storage: SQL that SQLite and PostgreSQL read alike.
#include <algorithm>
#include <array>
#include <chrono>
#include <cmath>
#include <ctime>
#include <mutex>
#include <nlohmann/json.hpp>
#include <utility>

#include "base/error.h"
#include "base/file.h"
#include "base/json.h"
#include "study/database.h"

namespace retort::study {
namespace {

namespace fs = std::filesystem;
using nlohmann::json;

constexpr int kVersion = 2;  // of Retort's tables; 1 was no schema of Optuna's
constexpr std::string_view kConstraints = "constraints";
constexpr std::string_view kLosses = "retort:losses";  // ClaimedTrial's
constexpr std::string_view kPausedAtRung = "retort:paused_at_rung";
constexpr std::string_view kMetricNames = "study:metric_names";

struct StateNames {
  TrialState state;
  std::string_view name;
  std::string_view optuna;
};
// An infeasible trial has its constraints to tell why.
constexpr std::array<StateNames, 7> kStates = {{{TrialState::Waiting, "WAITING", "WAITING"},
                                                {TrialState::Running, "RUNNING", "RUNNING"},
                                                {TrialState::Paused, "PAUSED", "WAITING"},
                                                {TrialState::Complete, "COMPLETE", "COMPLETE"},
                                                {TrialState::Skipped, "SKIPPED", "PRUNED"},
                                                {TrialState::Infeasible, "INFEASIBLE", "PRUNED"},
                                                {TrialState::Failed, "FAILED", "FAIL"}}};

std::string_view optuna_state(TrialState state) {
  return std::ranges::find(kStates, state, &StateNames::state)->optuna;
}

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
double number_of(const Cell& value, const Cell& type) {
  if (type == "NAN") return std::nan("");
  if (type == "INF_POS") return HUGE_VAL;
  if (type == "INF_NEG") return -HUGE_VAL;
  return real(value);
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

std::string metric_names(const std::vector<Objective>& objectives) {
  json names = json::array();
  for (const Objective& objective : objectives) names.push_back(objective.name);
  return dump_json(names);
}

using Rows = std::vector<std::vector<Value>>;

class SqlStorage final : public Storage {
 public:
  // With objectives it makes what is missing.
  SqlStorage(std::unique_ptr<Database> database, Place place, Access access,
             const std::vector<Objective>* objectives)
      : database_(std::move(database)), place_(std::move(place)), access_(access) {
    if (objectives == nullptr) {
      read([&](Connection& sql) {
        check_tables(sql);
        const auto id = find_study(sql);
        if (!id) throw_usage("{}: holds no study '{}'", database_->name(), place_.study);
        study_ = *id;
      });
      return;
    }
    write([&](Connection& sql) {
      make_tables(sql);
      make_study(sql, *objectives);
    });
  }

  void put_document(std::string_view key, std::string_view text) override {
    write([&](Connection& sql) {
      sql.run(
          "INSERT INTO retort_documents VALUES ($1, $2, $3)"
          " ON CONFLICT (study_id, \"key\") DO UPDATE SET json=excluded.json",
          {study_, key, text});
    });
  }

  std::string put_document_once(std::string_view key, std::string_view text) override {
    std::string stored;
    write([&](Connection& sql) {
      sql.run("INSERT INTO retort_documents VALUES ($1, $2, $3) ON CONFLICT DO NOTHING", {study_, key, text});
      stored = find_document(sql, key).value();  // NOLINT(bugprone-unchecked-optional-access): there is one
    });
    return stored;
  }

  [[nodiscard]] std::optional<std::string> document(std::string_view key) const override {
    std::optional<std::string> found;
    read([&](Connection& sql) { found = find_document(sql, key); });
    return found;
  }

  [[nodiscard]] std::vector<Objective> objectives() const override {
    std::vector<Objective> out;
    read([&](Connection& sql) { out = find_objectives(sql); });
    return out;
  }

  bool add_trials(int expected_count, std::span<const NewTrial> trials) override {
    bool added = false;
    write([&](Connection& sql) {
      // Whoever adds trials holds the study's row.
      sql.run("SELECT study_id FROM studies WHERE study_id=$1" + std::string(database_->dialect().for_update),
              {study_});
      const int count =
          integer(sql.run("SELECT coalesce(max(number)+1, 0) FROM retort_trials WHERE study_id=$1", {study_})
                      .rows.at(0)
                      .at(0));
      added = count == expected_count;
      if (added && !trials.empty()) insert_trials(sql, count, trials);
    });
    return added;
  }

  std::optional<ClaimedTrial> claim(std::string_view worker, double lease_seconds, int below) override {
    if (is_time_to_look(lease_seconds)) release_expired();
    std::optional<ClaimedTrial> out;
    write([&](Connection& sql) { out = take(sql, worker, lease_seconds, below); });
    if (!out && release_expired() > 0)
      write([&](Connection& sql) { out = take(sql, worker, lease_seconds, below); });
    return out;
  }

  std::vector<Claim> heartbeat(std::span<const Claim> claims) override {
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

  int release(std::string_view worker) override { return release_where("l.worker=$2", worker); }

  int release_expired() override {
    const std::string now = database_->now();
    // The server's clock was set back: what was written before counts from here.
    bool set_back = false;
    read([&](Connection& sql) {
      set_back =
          !sql.run(fmt::format("SELECT 1 FROM retort_leases WHERE clock=$1 AND beat_at>{}+1 LIMIT 1", now),
                   {database_->clock()})
               .rows.empty();
    });
    if (set_back)
      write([&](Connection& sql) {
        sql.run(fmt::format("UPDATE retort_leases SET beat_at={0} WHERE clock=$1 AND beat_at>{0}+1", now),
                {database_->clock()});
      });
    return release_where(fmt::format("(l.clock<>$2 OR {}-l.beat_at>l.seconds)", now), database_->clock());
  }

  void put_stage(const Claim& claim, const StageRecord& stage,
                 std::span<const IntermediateValue> values) override {
    write([&](Connection& sql) {
      const int64_t trial = held(sql, claim);
      sql.run(
          "INSERT INTO retort_stages VALUES ($1, $2,"
          " (SELECT count(*) FROM retort_stages WHERE trial_id=$1), $3)"
          " ON CONFLICT (trial_id, name) DO UPDATE SET result=excluded.result",
          {trial, stage.name, stage.result});
      sql.run("DELETE FROM trial_system_attributes WHERE trial_id=$1 AND \"key\"=$2", {trial, kLosses});
      Rows rows;
      for (const IntermediateValue& value : values) {
        const OptunaNumber number = optuna_number(value.value);
        rows.push_back({trial, int64_t{value.step}, number.value, number.type});
      }
      insert_rows(sql, "trial_intermediate_values",
                  "trial_id, step, intermediate_value, intermediate_value_type", rows,
                  "ON CONFLICT (trial_id, step) DO UPDATE SET intermediate_value=excluded.intermediate_value,"
                  " intermediate_value_type=excluded.intermediate_value_type");
    });
  }

  void finish(const Claim& claim, const Ending& ending) override {
    if (!is_finished(ending.state)) throw_failure("a trial cannot end as {}", to_string(ending.state));
    if (std::ranges::any_of(ending.values, [](double value) { return std::isnan(value); }))
      throw_failure("trial {} cannot end with a value that is no number", claim.trial);
    write([&](Connection& sql) {
      if (ending.state == TrialState::Complete && ending.values.size() != find_objectives(sql).size())
        throw_failure("trial {} ends with {} values for {} objectives", claim.trial, ending.values.size(),
                      find_objectives(sql).size());
      if (was_done(sql, claim, ending.state)) return;
      const int64_t trial = held(sql, claim);
      leave(sql, trial, ending.state, ending.result);
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
    });
  }

  void pause(const Claim& claim) override {
    write([&](Connection& sql) {
      if (was_done(sql, claim, TrialState::Paused)) return;
      const int64_t trial = held(sql, claim);
      leave(sql, trial, TrialState::Paused, "");
      sql.run("UPDATE retort_trials SET rung=rung+1 WHERE trial_id=$1", {trial});
      const std::string rung =
          sql.run("SELECT rung FROM retort_trials WHERE trial_id=$1", {trial}).rows.at(0).at(0).value_or("");
      put_attributes(sql, "trial_system_attributes", {{trial, kPausedAtRung, rung}});
    });
  }

  void give_back(const Claim& claim) override {
    write([&](Connection& sql) {
      if (was_done(sql, claim, TrialState::Waiting)) return;
      leave(sql, held(sql, claim), TrialState::Waiting, "");
    });
  }

  TrialState crash(const Claim& claim, std::string_view result, int most_crashes) override {
    TrialState state = TrialState::Waiting;
    write([&](Connection& sql) {
      state = TrialState::Waiting;
      if (was_done(sql, claim, TrialState::Waiting)) return;
      if (was_done(sql, claim, TrialState::Failed)) {
        state = TrialState::Failed;
        return;
      }
      const int64_t trial = held(sql, claim);
      const int crashes = integer(
          sql.run("UPDATE retort_trials SET crashes=crashes+1 WHERE trial_id=$1 RETURNING crashes", {trial})
              .rows.at(0)
              .at(0));
      if (crashes >= most_crashes) state = TrialState::Failed;
      leave(sql, trial, state, state == TrialState::Failed ? result : "");
    });
    return state;
  }

  int decide(std::span<const Decision> decisions) override {
    int changed = 0;
    write([&](Connection& sql) {
      changed = 0;
      for (const Decision& decision : decisions) {
        const Result found = sql.run(
            "SELECT trial_id FROM retort_trials WHERE study_id=$1 AND number=$2 AND state='PAUSED' AND"
            " rung=$3" +
                std::string(database_->dialect().for_update),
            {study_, int64_t{decision.trial}, int64_t{decision.rung}});
        if (found.rows.empty()) continue;
        ++changed;
        const int64_t trial = integer(found.rows[0].at(0));
        leave(sql, trial, decision.result.empty() ? TrialState::Waiting : TrialState::Skipped,
              decision.result);
        // Neither an end nor a wait of its last worker's making.
        sql.run("UPDATE retort_trials SET worker='' WHERE trial_id=$1", {trial});
        sql.run("DELETE FROM trial_system_attributes WHERE trial_id=$1 AND \"key\"=$2",
                {trial, kPausedAtRung});
      }
    });
    return changed;
  }

  [[nodiscard]] std::vector<TrialRecord> trials() const override {
    std::vector<TrialRecord> out;
    read([&](Connection& sql) { out = find_trials(sql, 0, INT_MAX); });
    return out;
  }

  [[nodiscard]] TrialRecord trial(int number) const override {
    std::vector<TrialRecord> out;
    read([&](Connection& sql) { out = find_trials(sql, number, number); });
    if (out.empty()) throw_failure("{}: there is no trial {}", database_->name(), number);
    return std::move(out.front());
  }

  [[nodiscard]] std::map<TrialState, int> counts() const override {
    std::map<TrialState, int> out;
    read([&](Connection& sql) {
      out.clear();
      for (const auto& row :
           sql.run("SELECT state, count(*) FROM retort_trials WHERE study_id=$1 GROUP BY state", {study_})
               .rows)
        out[parse_trial_state(row[0].value_or(""))] = integer(row[1]);
    });
    return out;
  }

  [[nodiscard]] TrialDetails details(int number) const override {
    TrialDetails out;
    read([&](Connection& sql) {
      out = {};
      const Result found = sql.run("SELECT trial_id FROM retort_trials WHERE study_id=$1 AND number=$2",
                                   {study_, int64_t{number}});
      if (found.rows.empty()) throw_failure("{}: there is no trial {}", database_->name(), number);
      const int64_t trial = integer(found.rows[0].at(0));
      for (const auto& row : sql.run("SELECT param_name, distribution_json, param_value FROM trial_params"
                                     " WHERE trial_id=$1 ORDER BY param_name",
                                     {trial})
                                 .rows)
        out.parameters.push_back({row[0].value_or(""), row[1].value_or(""), real(row[2])});
      for (const auto& row : sql.run("SELECT step, intermediate_value, intermediate_value_type FROM"
                                     " trial_intermediate_values WHERE trial_id=$1 ORDER BY step",
                                     {trial})
                                 .rows)
        out.intermediate_values.push_back({integer(row[0]), number_of(row[1], row[2])});
      for (const auto& row :
           sql.run("SELECT value, value_type FROM trial_values WHERE trial_id=$1 ORDER BY objective", {trial})
               .rows)
        out.values.push_back(number_of(row[0], row[1]));
      for (const auto& row : sql.run("SELECT value_json FROM trial_system_attributes WHERE trial_id=$1 AND"
                                     " \"key\"=$2",
                                     {trial, kConstraints})
                                 .rows)
        out.constraints = json::parse(row[0].value_or("[]")).get<std::vector<double>>();
      for (const auto& row :
           sql.run("SELECT \"key\", value_json FROM trial_user_attributes WHERE trial_id=$1 ORDER BY \"key\"",
                   {trial})
               .rows)
        out.attributes.push_back({row[0].value_or(""), row[1].value_or("")});
    });
    return out;
  }

  std::string put_artefact(std::span<const uint8_t> bytes) override {
    std::string sha256 = sha256_hex(bytes);
    if (!place_.artefacts.empty())
      write_file_atomic(place_.artefacts / sha256, bytes);
    else
      write([&](Connection& sql) {
        sql.run("INSERT INTO retort_artefacts VALUES ($1, $2) ON CONFLICT DO NOTHING", {sha256, bytes});
      });
    return sha256;
  }

  [[nodiscard]] std::vector<uint8_t> artefact(std::string_view sha256) const override {
    std::vector<uint8_t> bytes;
    std::string where = database_->name();
    const fs::path file = place_.artefacts / std::string(sha256);
    if (!place_.artefacts.empty() && fs::exists(file)) {
      where = file.string();
      bytes = read_file(file);
    } else {
      bool found = false;
      read([&](Connection& sql) {
        const Result result = sql.run("SELECT bytes FROM retort_artefacts WHERE sha256=$1", {sha256});
        found = !result.rows.empty();
        if (!found) return;
        const std::string& text = result.rows[0].at(0).value();  // NOLINT: the column has no nulls
        bytes.assign(text.begin(), text.end());
      });
      if (!found)
        throw_failure("{}: the artefact {:.12}… is missing", place_.artefacts.empty() ? where : file.string(),
                      sha256);
    }
    if (sha256_hex(bytes) != sha256) throw_failure("{}: the artefact {:.12}… is damaged", where, sha256);
    return bytes;
  }

 private:
  void read(const std::function<void(Connection&)>& body) const {
    database_->transact(Transaction::Read, body);
  }
  void write(const std::function<void(Connection&)>& body) {
    if (access_ == Access::Read) throw_failure("{}: was opened to read only", database_->name());
    database_->transact(Transaction::Write, body);
  }

  // ---- Opening ----

  void make_tables(Connection& sql) {
    database_->lock_schema(sql);
    if (!database_->has_table(sql, "retort_version")) {
      const bool has_optuna =
          database_->has_table(sql, "alembic_version") && database_->has_table(sql, "studies");
      if (!has_optuna) {
        refuse_earlier_format(sql);
        if (!database_->is_empty(sql))
          throw_failure("{}: is a database of another program; start in another folder", database_->name());
        make_optuna_tables(sql, database_->dialect(), kOptunaSchema);
      }
      make_retort_tables(sql, database_->dialect());
      sql.run("INSERT INTO retort_version VALUES ($1)", {int64_t{kVersion}});
    }
    check_tables(sql);
  }

  void refuse_earlier_format(Connection& sql) {
    if (database_->has_table(sql, "document") && database_->has_table(sql, "stage"))
      throw_failure(
          "{}: was written by an earlier version of this program (format 1, this one knows {}); start in "
          "another "
          "folder",
          database_->name(), kVersion);
  }

  void check_tables(Connection& sql) {
    if (!database_->has_table(sql, "retort_version")) {
      refuse_earlier_format(sql);
      throw_failure("{}: is a database of another program; start in another folder", database_->name());
    }
    const int version = integer(sql.run("SELECT version FROM retort_version").rows.at(0).at(0));
    if (version != kVersion)
      throw_failure("{}: was written by another version of this program (format {}, this one knows {})",
                    database_->name(), version, kVersion);
    const std::string schema =
        sql.run("SELECT version_num FROM alembic_version").rows.at(0).at(0).value_or("");
    if (schema != kOptunaSchema)
      throw_failure(
          "{}: has Optuna's tables of version {}, and this program knows {}: upgrade them with "
          "`optuna storage upgrade`, or give another database",
          database_->name(), schema, kOptunaSchema);
  }

  std::optional<int64_t> find_study(Connection& sql) const {
    const Result found = sql.run("SELECT study_id FROM studies WHERE study_name=$1", {place_.study});
    return found.rows.empty() ? std::nullopt : std::optional<int64_t>(integer(found.rows[0].at(0)));
  }

  void make_study(Connection& sql, const std::vector<Objective>& objectives) {
    const bool is_new =
        sql.run("INSERT INTO studies (study_name) VALUES ($1) ON CONFLICT DO NOTHING", {place_.study})
            .changed > 0;
    study_ = find_study(sql).value();  // NOLINT(bugprone-unchecked-optional-access): there is one
    if (!is_new) {
      const std::vector<Objective> there = find_objectives(sql);
      if (there != objectives)
        throw_usage("{}: study '{}' has other objectives: {} there and {} here; give another name or folder",
                    database_->name(), place_.study, metric_names(there), metric_names(objectives));
      return;
    }
    Rows rows;
    for (const Objective& objective : objectives)
      rows.push_back({std::string_view(objective.direction == Direction::Maximize ? "MAXIMIZE" : "MINIMIZE"),
                      study_, static_cast<int64_t>(rows.size())});
    insert_rows(sql, "study_directions", "direction, study_id, objective", rows);
    sql.run("INSERT INTO study_system_attributes (study_id, \"key\", value_json) VALUES ($1, $2, $3)",
            {study_, kMetricNames, metric_names(objectives)});
  }

  std::vector<Objective> find_objectives(Connection& sql) const {
    std::vector<Objective> out;
    for (const auto& row :
         sql.run("SELECT direction FROM study_directions WHERE study_id=$1 ORDER BY objective", {study_})
             .rows)
      out.push_back({.name = fmt::format("objective {}", out.size()),
                     .direction = row[0] == "MAXIMIZE" ? Direction::Maximize : Direction::Minimize});
    const Result names =
        sql.run("SELECT value_json FROM study_system_attributes WHERE study_id=$1 AND \"key\"=$2",
                {study_, kMetricNames});
    if (!names.rows.empty()) {
      const json list = json::parse(names.rows[0].at(0).value_or("[]"));
      for (size_t i = 0; i < std::min(list.size(), out.size()); ++i) out[i].name = list.at(i);
    }
    return out;
  }

  std::optional<std::string> find_document(Connection& sql, std::string_view key) const {
    Result found =
        sql.run("SELECT json FROM retort_documents WHERE study_id=$1 AND \"key\"=$2", {study_, key});
    return found.rows.empty() ? std::nullopt : std::move(found.rows[0].at(0));
  }

  // ---- Trials ----

  void insert_trials(Connection& sql, int first, std::span<const NewTrial> trials) {
    Rows rows;
    for (size_t i = 0; i < trials.size(); ++i)
      rows.push_back({study_, static_cast<int64_t>(first) + static_cast<int64_t>(i), "WAITING"});
    const Result ids =
        insert_rows(sql, "trials", "study_id, number, state", rows, "RETURNING trial_id, number");
    std::vector<int64_t> trial_ids(trials.size());
    for (const auto& row : ids.rows)
      trial_ids.at(static_cast<size_t>(integer(row[1]) - first)) = integer(row[0]);

    std::vector<std::string> constraints;
    for (const NewTrial& trial : trials) constraints.push_back(dump_json(json(trial.constraints)));
    rows.clear();
    Rows parameters;
    Rows attributes;
    Rows system_attributes;
    for (size_t i = 0; i < trials.size(); ++i) {
      const NewTrial& trial = trials[i];
      const int64_t id = trial_ids[i];
      rows.push_back(
          {id, study_, static_cast<int64_t>(first) + static_cast<int64_t>(i), "WAITING", trial.proposal});
      for (const Parameter& parameter : trial.parameters)
        parameters.push_back({id, parameter.name, parameter.value, parameter.distribution});
      for (const Attribute& attribute : trial.attributes)
        attributes.push_back({id, attribute.name, attribute.json});
      if (!trial.constraints.empty()) system_attributes.push_back({id, kConstraints, constraints[i]});
    }
    insert_rows(sql, "retort_trials", "trial_id, study_id, number, state, proposal", rows);
    insert_rows(sql, "trial_params", "trial_id, param_name, param_value, distribution_json", parameters);
    put_attributes(sql, "trial_user_attributes", attributes);
    put_attributes(sql, "trial_system_attributes", system_attributes);
  }

  static void put_attributes(Connection& sql, std::string_view table, const Rows& rows) {
    insert_rows(sql, table, "trial_id, \"key\", value_json", rows,
                "ON CONFLICT (trial_id, \"key\") DO UPDATE SET value_json=excluded.value_json");
  }

  std::vector<TrialRecord> find_trials(Connection& sql, int first, int last) const {
    std::vector<TrialRecord> out;
    Result rows = sql.run(
        "SELECT number, state, rung, proposal, result FROM retort_trials"
        " WHERE study_id=$1 AND number BETWEEN $2 AND $3 ORDER BY number",
        {study_, int64_t{first}, int64_t{last}});
    out.reserve(rows.rows.size());
    for (std::vector<Cell>& row : rows.rows)
      out.push_back({.number = integer(row[0]),
                     .state = parse_trial_state(row[1].value_or("")),
                     .rung = integer(row[2]),
                     .proposal = std::move(row[3]).value_or(""),
                     .result = std::move(row[4]).value_or(""),
                     .stages = {}});
    rows = sql.run(
        "SELECT t.number, s.name, s.result FROM retort_stages s JOIN retort_trials t ON t.trial_id=s.trial_id"
        " WHERE t.study_id=$1 AND t.number BETWEEN $2 AND $3 ORDER BY t.number, s.position",
        {study_, int64_t{first}, int64_t{last}});
    // Numbers have no gaps: a trial's number tells its place.
    for (std::vector<Cell>& row : rows.rows)
      out.at(static_cast<size_t>(integer(row[0]) - first))
          .stages.push_back({std::move(row[1]).value_or(""), std::move(row[2]).value_or("")});
    return out;
  }

  std::optional<ClaimedTrial> take(Connection& sql, std::string_view worker, double lease_seconds,
                                   int below) {
    Result found = sql.run(
        "SELECT trial_id, number, attempt, rung, proposal FROM retort_trials"
        " WHERE study_id=$1 AND state='WAITING' AND number<$2 ORDER BY number LIMIT 1" +
            std::string(database_->dialect().skip_locked),
        {study_, int64_t{below}});
    if (found.rows.empty()) return std::nullopt;
    std::vector<Cell>& row = found.rows[0];
    const int64_t trial = integer(row[0]);
    ClaimedTrial out;
    out.claim = {.trial = integer(row[1]), .worker = std::string(worker), .attempt = integer(row[2]) + 1};
    out.trial = {.number = out.claim.trial,
                 .state = TrialState::Running,
                 .rung = integer(row[3]),
                 .proposal = std::move(row[4]).value_or(""),
                 .result = {},
                 .stages = {}};
    sql.run("UPDATE retort_trials SET state='RUNNING', worker=$1, attempt=$2 WHERE trial_id=$3",
            {worker, int64_t{out.claim.attempt}, trial});
    sql.run(
        "UPDATE trials SET state='RUNNING', datetime_start=coalesce(datetime_start, $1) WHERE trial_id=$2",
        {time_of_day(), trial});
    sql.run(fmt::format("INSERT INTO retort_leases (trial_id, worker, attempt, clock, beat_at, seconds)"
                        " VALUES ($1, $2, $3, $4, {}, $5)",
                        database_->now()),
            {trial, worker, int64_t{out.claim.attempt}, database_->clock(), lease_seconds});
    if (out.claim.attempt > 1) {
      out.losses = losses(sql, trial);
      for (auto& stage :
           sql.run("SELECT name, result FROM retort_stages WHERE trial_id=$1 ORDER BY position", {trial})
               .rows)
        out.trial.stages.push_back({std::move(stage[0]).value_or(""), std::move(stage[1]).value_or("")});
    }
    return out;
  }

  static int losses(Connection& sql, int64_t trial) {
    const Result found = sql.run(
        "SELECT value_json FROM trial_system_attributes WHERE trial_id=$1 AND \"key\"=$2", {trial, kLosses});
    return found.rows.empty() ? 0 : integer(found.rows[0].at(0));
  }

  // The trial's id, its row locked; LostLease unless the claim holds it.
  int64_t held(Connection& sql, const Claim& claim) const {
    const Result found = sql.run(
        "SELECT trial_id FROM retort_trials WHERE study_id=$1 AND number=$2 AND state='RUNNING' AND worker=$3"
        " AND attempt=$4" +
            std::string(database_->dialect().for_update),
        {study_, int64_t{claim.trial}, claim.worker, int64_t{claim.attempt}});
    if (found.rows.empty()) throw LostLease(claim);
    return integer(found.rows[0].at(0));
  }

  // Whether this very claim has brought the trial into that state before: its answer was lost.
  bool was_done(Connection& sql, const Claim& claim, TrialState state) const {
    return !sql.run(
                   "SELECT 1 FROM retort_trials WHERE study_id=$1 AND number=$2 AND state=$3 AND worker=$4 "
                   "AND"
                   " attempt=$5",
                   {study_, int64_t{claim.trial}, to_string(state), claim.worker, int64_t{claim.attempt}})
                .rows.empty();
  }

  // Running no longer.
  static void leave(Connection& sql, int64_t trial, TrialState state, std::string_view result) {
    sql.run("UPDATE retort_trials SET state=$1, result=$2 WHERE trial_id=$3",
            {to_string(state), result, trial});
    if (is_finished(state))
      sql.run("UPDATE trials SET state=$1, datetime_complete=$2 WHERE trial_id=$3",
              {optuna_state(state), time_of_day(), trial});
    else
      sql.run("UPDATE trials SET state=$1 WHERE trial_id=$2", {optuna_state(state), trial});
    sql.run("DELETE FROM retort_leases WHERE trial_id=$1", {trial});
  }

  int release_where(const std::string& condition, std::string_view value) {
    int released = 0;
    write([&](Connection& sql) {
      released = 0;
      // The trial's row is the one that everybody locks first.
      const Result found = sql.run(
          fmt::format("SELECT t.trial_id FROM retort_trials t JOIN retort_leases l ON l.trial_id=t.trial_id"
                      " WHERE t.study_id=$1 AND {}{}",
                      condition, database_->dialect().skip_locked),
          {study_, value});
      for (const auto& row : found.rows) {
        const int64_t trial = integer(row[0]);
        leave(sql, trial, TrialState::Waiting, "");
        const std::string count = fmt::format("{}", losses(sql, trial) + 1);
        put_attributes(sql, "trial_system_attributes", {{trial, kLosses, count}});
        // What its worker still says comes too late.
        sql.run("UPDATE retort_trials SET worker='' WHERE trial_id=$1", {trial});
        ++released;
      }
    });
    return released;
  }

  // Several times in a lease.
  bool is_time_to_look(double lease_seconds) {
    using Clock = std::chrono::steady_clock;
    const std::lock_guard lock(mutex_);
    const auto now = Clock::now();
    if (now < next_look_) return false;
    next_look_ =
        now + std::chrono::duration_cast<Clock::duration>(std::chrono::duration<double>(lease_seconds / 4));
    return true;
  }

  std::unique_ptr<Database> database_;
  Place place_;
  Access access_;
  int64_t study_ = 0;
  std::mutex mutex_;
  std::chrono::steady_clock::time_point next_look_{};
};

}  // namespace

std::string_view to_string(TrialState state) {
  return std::ranges::find(kStates, state, &StateNames::state)->name;
}

TrialState parse_trial_state(std::string_view name) {
  const auto found = std::ranges::find(kStates, name, &StateNames::name);
  if (found == kStates.end()) throw_failure("unknown state of a trial '{}'", name);
  return found->state;
}

std::unique_ptr<Storage> make_memory_storage(const std::vector<Objective>& objectives) {
  return std::make_unique<SqlStorage>(open_sqlite_in_memory(), Place{}, Access::Write, &objectives);
}

std::unique_ptr<Storage> open_storage(const Place& place, const std::vector<Objective>& objectives) {
  return std::make_unique<SqlStorage>(open_database(place.url, Access::Write), place, Access::Write,
                                      &objectives);
}

std::unique_ptr<Storage> open_storage(const Place& place, Access access) {
  return std::make_unique<SqlStorage>(open_database(place.url, access), place, access, nullptr);
}

}  // namespace retort::study
