// A study whose database holds what an enemy wrote: any number, text or JSON in any cell, in the shape of a sound study's.
// It is read as `report`, `serve` and a search that goes on read it, and everything that shows it is drawn.
#include <sqlite3.h>

#include <algorithm>
#include <cstring>

#include "base/error.h"
#include "base/file.h"
#include "base/json.h"
#include "edits.h"
#include "report/live/page.h"
#include "report/live_study.h"
#include "report/report.h"
#include "report/sample_study.h"
#include "report/study_files.h"
#include "search/analysis.h"
#include "search/live.h"
#include "search/search.h"
#include "target.h"

namespace retort::fuzz {
namespace {

namespace fs = std::filesystem;

struct CloseDatabase {
  void operator()(sqlite3* database) const { sqlite3_close(database); }
};
struct Finalize {
  void operator()(sqlite3_stmt* statement) const { sqlite3_finalize(statement); }
};
using Connection = std::unique_ptr<sqlite3, CloseDatabase>;
using Statement = std::unique_ptr<sqlite3_stmt, Finalize>;

Connection open(const fs::path& path) {
  sqlite3* raw = nullptr;
  require(sqlite3_open(path.c_str(), &raw) == SQLITE_OK, "the database opens");
  return Connection(raw);
}
Statement prepare(sqlite3* database, const std::string& sql) {
  sqlite3_stmt* raw = nullptr;
  require(sqlite3_prepare_v2(database, sql.c_str(), -1, &raw, nullptr) == SQLITE_OK, sql);
  return Statement(raw);
}

struct Place {
  std::string table;
  std::string column;
  int64_t row = 0;
  std::string text;  // what stands there in the sound study
};

struct Sound {
  std::vector<uint8_t> database;
  std::vector<Place> places;
  std::string analysis;  // the file beside it
};

void write_sound(const fs::path& home) {
  report::LiveStudy live(home);
  const search::StudyResult sample = report::sample_study(3, 1);
  live.describe(sample);
  for (const search::TrialResult& trial : sample.trials) live.add(trial);
  const study::Claim running = live.begin("1,1,8,0");
  live.storage().put_values(running, std::vector<study::IntermediateValue>{{1, 0.5}, {2, 0.6}});
  live.finish(sample);
  live.say("running", 3, report::unix_seconds(),
           Json::array({{{"name", "teacher"}, {"done", 1}, {"total", 3}, {"note", "loss 0.4"}}}));
  live.put(search::kImagesKey, {{"train", 100}, {"validation", 20}, {"test", 30}});
  live.put(search::kRangeKey, {{"low", 0.0}, {"high", 1.0}});
  live.put(search::kPlanKey, {{"planned", 9}, {"epochs", {{"quick", 3}}}});
  live.put(search::kTeacherEpochsKey, 3);
  live.put(search::kSecondsKey, 12.5);
  search::Analysis analysis{.trial = sample.best, .seed = 2};
  analysis.mistakes = {.images = 3, .confusion = {{1, 1}, {0, 1}}, .most_confident = {}};
  analysis.mistakes.most_confident.push_back({.index = 1,
                                              .file = "a.png",
                                              .label = 0,
                                              .guess = 1,
                                              .guess_probability = 0.9,
                                              .label_probability = 0.1,
                                              .picture = {.height = 2, .width = 2, .png = {1, 2, 3, 4}}});
  search::save_analysis(home, analysis);
}

const Sound& sound() {
  static const Sound made = [] {
    const fs::path home = folder() / "sound";
    fs::create_directories(home);
    write_sound(home);
    Sound all;
    all.analysis = read_text(home / "analysis.json");
    const Connection database = open(home / "study.db");
    // Into the one file, which is then copied.
    require(
        sqlite3_exec(database.get(), "PRAGMA journal_mode=DELETE", nullptr, nullptr, nullptr) == SQLITE_OK,
        "one file");
    const Statement tables = prepare(database.get(), "SELECT name FROM sqlite_master WHERE type='table'");
    while (sqlite3_step(tables.get()) == SQLITE_ROW) {
      const std::string table = reinterpret_cast<const char*>(sqlite3_column_text(tables.get(), 0));
      const Statement rows = prepare(database.get(), "SELECT rowid, * FROM " + table);
      while (sqlite3_step(rows.get()) == SQLITE_ROW)
        for (int c = 1; c < sqlite3_column_count(rows.get()); ++c) {
          const auto* text = reinterpret_cast<const char*>(sqlite3_column_text(rows.get(), c));
          all.places.push_back({table, sqlite3_column_name(rows.get(), c),
                                sqlite3_column_int64(rows.get(), 0), text != nullptr ? text : ""});
        }
    }
    // What is JSON first: most of what is read is there.
    std::ranges::stable_partition(all.places, [](const Place& place) { return place.text.starts_with('{'); });
    all.database = read_file(home / "study.db");
    return all;
  }();
  return made;
}

// Changes one cell. A database may refuse what its constraints forbid.
void change(sqlite3* database, std::string& analysis, std::vector<Place>& places, Source& source) {
  const size_t number = source.below(places.size() + 8);
  const uint8_t kind = source.byte() % 8;
  if (number >= places.size()) {
    analysis = kind < 7 ? edited(analysis, source) : source.text();
    return;
  }
  Place& place = places[number];
  const Statement update =
      prepare(database, fmt::format("UPDATE \"{}\" SET \"{}\"=?1 WHERE rowid=?2", place.table, place.column));
  sqlite3_bind_int64(update.get(), 2, place.row);
  const auto bind_text = [&](std::string text) {
    place.text = std::move(text);
    sqlite3_bind_text(update.get(), 1, place.text.data(), static_cast<int>(place.text.size()),
                      SQLITE_TRANSIENT);
  };
  if (place.text.starts_with('{') && kind < 5) {
    bind_text(edited(place.text, source));
  } else if (kind == 5) {
    bind_text(source.text());
  } else if (kind == 6) {
    bind_text(std::string(100'000, source.byte() % 2 == 0 ? '[' : '{'));
  } else {
    const Json value = awkward(source);
    if (value.is_number_float())
      sqlite3_bind_double(update.get(), 1, value);
    else if (value.is_number_unsigned())
      sqlite3_bind_int64(update.get(), 1, static_cast<int64_t>(value.get<uint64_t>()));
    else if (value.is_number())
      sqlite3_bind_int64(update.get(), 1, value);
    else if (value.is_string())
      bind_text(value);
    else if (value.is_null())
      sqlite3_bind_null(update.get(), 1);
    else
      sqlite3_bind_blob(update.get(), 1, "\x80\0{", 3, SQLITE_STATIC);
  }
  sqlite3_step(update.get());
}

void write_changed(const fs::path& home, Bytes bytes) {
  std::string analysis = sound().analysis;
  const fs::path path = file("home/study.db", sound().database);
  {
    std::vector<Place> places = sound().places;
    const Connection database = open(path);
    sqlite3_exec(database.get(), "PRAGMA journal_mode=OFF; PRAGMA synchronous=OFF; BEGIN", nullptr, nullptr,
                 nullptr);
    constexpr int kMostChanges = 8;
    Source source(bytes);
    for (int i = 0; i < kMostChanges && !source.ended(); ++i)
      change(database.get(), analysis, places, source);
    sqlite3_exec(database.get(), "COMMIT", nullptr, nullptr, nullptr);
  }
  file("home/analysis.json", as_bytes(analysis));
  require(path.parent_path() == home, "it lies in its folder");
}

void expect_escaped(const std::string& page) {
  require(page.find("<canary") == std::string::npos, "a study's texts are escaped in pages");
}

template <typename Step>
void attempt(const Step& step) {
  try {
    step();
  } catch (const Error&) {
  }
}

}  // namespace

void run(Bytes bytes) {
  const fs::path home = folder() / "home";
  write_changed(home, bytes);
  attempt([&] { static_cast<void>(search::stored_search(home)); });

  search::StudyWatch watch(home, {});
  watch.look();
  report::LiveView view{
      .facts = {.folder = "home", .study = watch.study(), .run = watch.run(), .problem = watch.problem()}};
  for (const std::string& part : {report::status_section(view.facts), report::now_section(view.facts),
                                  report::files_section(view.facts)}) {
    view.sections["part"] = {part, ""};
    expect_escaped(report::live_page(view, {}));
  }

  const search::StudyResult study = search::load_study(home);
  expect_escaped(report::html_report(study, report::load_study_files(study, home)));
  static_cast<void>(report::trials_csv(study));
  static_cast<void>(report::study_json(study));
  for (const search::TrialResult& trial : study.trials) {
    static_cast<void>(search::ending_text("notebook", trial));
    if (view.facts.study) expect_escaped(report::trial_page(view, trial.number));
  }
}

std::vector<Seed> seeds() {
  std::vector<Seed> all = {{}};
  for (uint8_t place = 0; place < 60; ++place)
    all.push_back({place, 0, 0, static_cast<uint8_t>(place * 7), 0, static_cast<uint8_t>(place % 22)});
  return all;
}

}  // namespace retort::fuzz
