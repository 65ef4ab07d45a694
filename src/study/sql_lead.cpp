// Who leads a study: whoever adds its trials and writes its documents.
#include <algorithm>

#include "study/sql_storage.h"

namespace retort::study {

std::optional<Leader> SqlStorage::lead(std::string_view name, double lease_seconds) {
  std::optional<Leader> other;
  int64_t fence = 0;
  write([&](Connection& sql) {
    other.reset();
    sql.run(fmt::format("INSERT INTO retort_leads VALUES ($1, '', 0, $2, {}, 0) ON CONFLICT DO NOTHING",
                        database_->now()),
            {study_, database_->clock()});
    const std::vector<Cell> row =
        sql.run(fmt::format(
                    "SELECT leader, fence, clock, {}-beat_at, seconds FROM retort_leads WHERE study_id=$1{}",
                    database_->now(), database_->dialect().for_update),
                {study_})
            .rows.at(0);
    const Leader leader{.name = row[0].value_or(""), .silent_seconds = real(row[3]), .seconds = real(row[4])};
    const bool is_another = !leader.name.empty() && identity_of(leader.name) != identity_of(name);
    if (is_another && row[2] == database_->clock() && leader.silent_seconds <= leader.seconds) {
      other = leader;
      // The server's clock was set back: the lease counts from here.
      if (leader.silent_seconds < -1)
        sql.run(fmt::format("UPDATE retort_leads SET beat_at={} WHERE study_id=$1", database_->now()),
                {study_});
      other->silent_seconds = std::max(leader.silent_seconds, 0.0);
      return;
    }
    fence = int64_t{integer(row[1])} + 1;
    sql.run(fmt::format("UPDATE retort_leads SET leader=$1, fence=$2, clock=$3, beat_at={}, seconds=$4"
                        " WHERE study_id=$5",
                        database_->now()),
            {name, fence, database_->clock(), lease_seconds, study_});
  });
  if (!other) fence_ = fence;
  return other;
}

bool SqlStorage::renew_lead() {
  bool kept = false;
  write([&](Connection& sql) {
    kept = sql.run(fmt::format("UPDATE retort_leads SET beat_at={}, clock=$1 WHERE study_id=$2 AND fence=$3",
                               database_->now()),
                   {database_->clock(), study_, fence_.load()})
               .changed > 0;
  });
  return kept;
}

void SqlStorage::resign() {
  write([&](Connection& sql) {
    sql.run("UPDATE retort_leads SET leader='' WHERE study_id=$1 AND fence=$2", {study_, fence_.load()});
  });
}

void SqlStorage::check_lead(Connection& sql) const {
  if (fence_ == 0) return;
  const Result found = sql.run(
      "SELECT fence FROM retort_leads WHERE study_id=$1" + std::string(database_->dialect().for_update),
      {study_});
  if (found.rows.empty() || integer(found.rows[0].at(0)) != fence_) throw LostLead(place_.study);
}

}  // namespace retort::study
