// A study's database with any bytes in its file, opened as `report` and `serve` open it. What stands in its cells is
// study.cpp's matter.
#include <algorithm>
#include <cstring>

#include "base/file.h"
#include "study/storage.h"
#include "target.h"

namespace retort::fuzz {
namespace {

// Of a small study, which the input's changes are made to: a database is long and SQLite checks it by itself.
const std::vector<uint8_t>& sound() {
  static const std::vector<uint8_t> bytes = [] {
    const std::filesystem::path path = folder() / "sound.db";
    {
      const auto storage = study::open_storage(study::sqlite_place(path),
                                               {{"accuracy"}, {"flash", study::Direction::Minimize}});
      storage->put_document("description", "{}");
      const std::vector<study::NewTrial> trials = {
          {.proposal = "{}", .constraints = {0.5}, .attributes = {{"a", "1"}}}, {.proposal = "{}"}};
      storage->add_trials(0, trials);
      const auto claimed = storage->claim("worker", 60);
      storage->put_stage(claimed->claim, {"quick", "{}"}, std::vector<study::IntermediateValue>{{1, 0.5}});
      storage->finish(claimed->claim, {.result = "{}", .values = {0.5, 1}});
      storage->put_artefact(std::vector<uint8_t>(10, 1));
    }
    return read_file(path);
  }();
  return bytes;
}

}  // namespace

void run(Bytes bytes) {
  if (bytes.empty()) return;
  std::vector<uint8_t> database(bytes.begin() + 1, bytes.end());
  if ((bytes[0] & 1) == 0) {
    // Changes: a place in three bytes, how many, those.
    database = sound();
    for (bytes = bytes.subspan(1); bytes.size() > 4;) {
      const size_t at = (bytes[0] | bytes[1] << 8U | bytes[2] << 16U) % database.size();
      const size_t count = std::min({size_t{bytes[3]}, bytes.size() - 4, database.size() - at});
      std::memcpy(database.data() + at, bytes.data() + 4, count);
      bytes = bytes.subspan(4 + count);
    }
  }
  const study::Place place = study::sqlite_place(file("study.db", database));
  static_cast<void>(study::study_names(place.url));
  const auto storage = study::open_storage(place, study::Access::Read);
  static_cast<void>(storage->document("description"));
  static_cast<void>(storage->objectives());
  for (const auto& [state, count] : storage->counts())
    require(count > 0, "states that are counted have trials");
  for (const study::TrialRecord& trial : storage->trials()) static_cast<void>(storage->details(trial.number));
  static_cast<void>(storage->leases());
}

std::vector<Seed> seeds() {
  std::vector<Seed> all = {{0}, {0, 16, 0, 0, 2, 16, 0}, {0, 0, 16, 0, 4, 13, 0, 0, 0}, {1, 'S', 'Q', 'L'}};
  all.emplace_back(sound().begin(), sound().begin() + 4096);
  all.back().insert(all.back().begin(), 1);
  return all;
}

}  // namespace retort::fuzz
