#include "search/study_folder.h"

#include <fmt/ranges.h>
#include <unistd.h>

#include <algorithm>
#include <array>
#include <climits>
#include <exception>
#include <iterator>
#include <utility>

#include "base/error.h"
#include "base/json.h"
#include "base/parallel.h"
#include "cost/boards.h"
#include "cost/footprint.h"
#include "graph/notebook.h"
#include "search/earlier_version.h"
#include "search/json_costs.h"
#include "search/json_numbers.h"
#include "search/search.h"
#include "search/stored_json.h"
#include "search/study_place.h"
#include "search/teacher.h"
#include "search/timed_plan.h"
#include "search/trial_record.h"

namespace retort::search {
namespace {

namespace fs = std::filesystem;

constexpr const char* kLockFile = ".lock";

// Where a place is refused, the folder that was made for its search goes again, and those around it.
class NewFolder {
 public:
  explicit NewFolder(const fs::path& path) : exceptions_(std::uncaught_exceptions()) {
    std::error_code error;
    for (fs::path at = fs::absolute(path, error).lexically_normal(); !error && !fs::exists(at, error);
         at = at.parent_path())
      folders_.push_back(at);
  }
  ~NewFolder() {
    if (folders_.empty() || std::uncaught_exceptions() == exceptions_) return;
    std::error_code ignored;
    for (const char* file : {kLockFile, kWorkerFile}) fs::remove(folders_.front() / file, ignored);
    for (const fs::path& folder : folders_) fs::remove(folder, ignored);  // not one that holds something
  }
  NewFolder(const NewFolder&) = delete;
  NewFolder& operator=(const NewFolder&) = delete;

 private:
  int exceptions_;
  std::vector<fs::path> folders_;
};

// What of a board shapes a search; its memory is in the limits.
std::string board_identity(const cost::Board& board) {
  return fmt::format("{} ({} at {:g} MHz, {:g} ± {:g} cycles an instruction)", board.name,
                     cost::traits(board.core).title, static_cast<double>(board.clock_hz) / 1e6,
                     board.cycles_per_instruction, board.cycles_error);
}

// Without what a later run may change: how much time there is (whether there is a limit at all matters, since
// epochs follow from it) and where files lie whose content is the same (teacher_sha256 tells it).
Json identity_of(Json description) {
  Json& settings = description.at("settings");
  settings.erase("seconds");
  // How one explores that does not explore.
  if (settings.at("exploration").at("epochs") == 0) settings.erase("exploration");
  Json& teacher = settings.at("teacher");
  teacher.erase("path");
  if (graph::is_config_file(teacher.at("config").get<std::string>())) teacher.erase("config");
  if (Json& board = settings.at("board"); !board.is_null()) board = board_identity(board.get<cost::Board>());
  description.erase("command");
  description.at("data").erase("spec");
  description.at("data").erase("from");
  return description;
}

std::string shown(const Json& value) {
  return value.is_null() ? "none" : value.is_string() ? value.get<std::string>() : dump_json(value);
}

// "/settings/pipeline/quick_epochs" → "quick epochs"
std::string readable(std::string key) {
  for (const std::string_view prefix : {"/settings/pipeline/", "/settings/", "/"})
    if (key.starts_with(prefix)) {
      key.erase(0, prefix.size());
      break;
    }
  std::ranges::replace(key, '/', ' ');
  std::ranges::replace(key, '_', ' ');
  return key;
}

std::vector<std::string> differences(const Json& there, const Json& here) {
  const Json a = there.flatten();
  const Json b = here.flatten();
  std::vector<std::string> out;
  for (const auto& [key, value] : a.items()) {
    const Json other = b.contains(key) ? b.at(key) : Json();
    if (value != other)
      out.push_back(fmt::format("{} is {} there and {} here", readable(key), shown(value), shown(other)));
  }
  for (const auto& [key, value] : b.items())
    if (!a.contains(key)) out.push_back(fmt::format("{} is {} here", readable(key), shown(value)));
  return out;
}

struct StoredTrials {
  std::vector<TrialResult> results;  // by number
  std::vector<int> unfinished;
};

// Reading results is most of the time that a large study takes: one core reads a part while the others parse, and of most
// trials only what is shown of them.
StoredTrials read_trials(const study::Storage& storage) {
  constexpr int kTrialsAtOnce = 1000;
  static_assert(kTrialsShown % kTrialsAtOnce == 0);
  constexpr int kMostReaders = 8;  // each with a connection, where the database is a server's
  const int count = storage.trial_count();
  std::vector<StoredTrials> parts(static_cast<size_t>((count + kTrialsAtOnce - 1) / kTrialsAtOnce));
  parallel_for(parts.size(), 1, std::min(kMostReaders, available_cores()), [&](size_t part) {
    const int first = static_cast<int>(part) * kTrialsAtOnce;
    for (const study::TrialRecord& record :
         storage.trials({.first = first,
                         .last = first + kTrialsAtOnce - 1,
                         .proposals = false,
                         .stages = first < kTrialsShown ? study::Stages::Whole : study::Stages::None})) {
      if (study::is_finished(record.state))
        parts[part].results.push_back(stored_result(record));
      else
        parts[part].unfinished.push_back(record.number);
    }
  });
  StoredTrials all;
  all.results.reserve(static_cast<size_t>(count));
  for (StoredTrials& part : parts) {
    std::ranges::move(part.results, std::back_inserter(all.results));
    std::ranges::copy(part.unfinished, std::back_inserter(all.unfinished));
  }
  return all;
}

}  // namespace

std::optional<Json> read_document(const study::Storage& storage, std::string_view key) {
  const std::optional<std::string> text = storage.document(key);
  if (!text) return std::nullopt;
  return read_stored(fmt::format("'{}'", key), [&] {
    Json value = parse_json(*text);
    return value.is_null() ? std::nullopt : std::optional(std::move(value));
  });
}

Json to_stored(const StoredProposal& stored) {
  Json out = {{"effort", to_string(stored.effort)},
              {"parent", stored.proposal.parent},
              {"config", stored.proposal.config},
              {"layers", stored.proposal.layers},
              {"hash", stored.proposal.hash},
              {"graph", parse_json(graph::graph_to_json(stored.proposal.graph))},
              {"parameters", stored.costs.parameters},
              {"macs", stored.costs.macs},
              {"flash_bytes", stored.costs.flash_bytes},
              {"arena_bytes_cortex_m4", stored.costs.arena_bytes_cortex_m4},
              {"arena_bytes_host", stored.costs.arena_bytes_host},
              {"footprint", stored.costs.footprint},
              {"latency", latency_to_json(stored.costs.latency)},
              {"infeasible", stored.infeasible},
              {"epoch_seconds", stored.epoch_seconds},
              {"epochs", stored.epochs}};
  if (stored.recipe) out["recipe"] = *stored.recipe;
  if (stored.confirms)
    out["confirms"] = {{"trial", stored.confirms->trial},
                       {"seed", stored.confirms->seed},
                       {"epochs", stored.confirms->epochs}};
  return out;
}

StoredProposal proposal_of(const study::TrialRecord& trial) {
  return read_stored(fmt::format("proposal of trial {}", trial.number),
                     [&] { return from_stored(parse_json(trial.proposal)); });
}

StoredProposal from_stored(const Json& in) {
  StoredProposal stored;
  stored.effort = parse_effort(in.value("effort", "full"));
  stored.proposal = {.config = in.at("config"),
                     .layers = in.at("layers"),
                     .graph = graph::graph_from_json(dump_json(in.at("graph"))),
                     .hash = in.at("hash"),
                     .parent = in.value("parent", -1)};
  stored.costs.parameters = size_from_json(in.at("parameters"));
  stored.costs.macs = size_from_json(in.at("macs"));
  stored.costs.flash_bytes = size_from_json(in.at("flash_bytes"));
  stored.costs.arena_bytes_cortex_m4 = size_from_json(in.at("arena_bytes_cortex_m4"));
  stored.costs.arena_bytes_host = size_from_json(in.at("arena_bytes_host"));
  stored.costs.footprint = in.value("footprint", cost::Footprint{});
  stored.costs.latency = latency_from_json(in);
  stored.infeasible = in.at("infeasible");
  stored.epoch_seconds = in.at("epoch_seconds");
  stored.epochs = in.value("epochs", decltype(stored.epochs){});
  if (const auto recipe = in.find("recipe"); recipe != in.end()) stored.recipe = recipe->get<Recipe>();
  if (const auto confirms = in.find("confirms"); confirms != in.end())
    stored.confirms = {.trial = confirms->at("trial"),
                       .seed = confirms->at("seed"),
                       .epochs = epochs_from_json(confirms->at("epochs"))};
  return stored;
}

StudyFolder::StudyFolder(const fs::path& path, const study::Place& place) : path_(path) {
  if (path.empty()) throw_usage("the folder of the search has no name: give one, such as out");
  std::error_code error;
  if (fs::exists(path, error) && !fs::is_directory(path, error))
    throw_usage("{}: is a file: a search needs a folder, a new one or that of an earlier search",
                path.string());
  const NewFolder made(path);
  fs::create_directories(path, error);
  if (error) throw_failure("{}: the folder cannot be created: {}", path.string(), error.message());
  for (const char* part : {"best", "best/c", "teacher", "trials"}) refuse_link(path / part);
  lock_ = std::make_unique<FileLock>(path / kLockFile);
  // What a search that was killed left. A trial's folder is tidied when the trial goes on.
  for (const char* part : {"", "best", "best/c", "teacher"}) remove_temporaries(path / part);
  place_ = place_of(path, place);
  check_place(path, place_);
  shared_ = !is_own(path, place_);
  worker_ = worker_name(path, shared_);
  storage_ = study::open_storage(place_, objectives());
  remember_place(path, place_);
}

study::Storage& StudyFolder::storage_of(Trials trials) {
  if (trials == Trials::Search) return *storage_;
  if (!confirmations_) confirmations_ = storage_->beside(confirmations_of(place_).study, objectives());
  return *confirmations_;
}

std::optional<Json> StudyFolder::document(std::string_view key) const {
  return read_document(*storage_, key);
}

void StudyFolder::put_document(std::string_view key, const Json& value) {
  keep([&] { storage_->put_document(key, dump_json(value)); });
}

void StudyFolder::describe(const SearchSettings& settings, const data::Dataset& dataset,
                           const std::string& command) {
  std::optional<Json> stored = document(kDescriptionKey);
  const bool reads_file =
      settings.teacher.kind == TeacherKind::Model || settings.teacher.kind == TeacherKind::Logits;
  std::string teacher_sha256;
  if (reads_file) {
    // Once its answers are in the folder the file itself may go.
    const bool gone = stored && document(kTeacherKey) && !fs::exists(settings.teacher.path);
    teacher_sha256 =
        gone ? stored->at("teacher_sha256").get<std::string>() : sha256_hex(read_file(settings.teacher.path));
  } else if (settings.teacher.kind == TeacherKind::Train) {
    teacher_sha256 = graph::structural_hash(teacher_network(settings.teacher, dataset));
  }
  std::error_code ignored;
  Json description = {{"format", 1},
                      {"settings", settings},
                      {"teacher_sha256", teacher_sha256},
                      {"data",
                       {{"spec", dataset.spec},
                        {"from", fs::current_path(ignored).string()},  // where it was so called
                        {"content_hash", dataset.content_hash},
                        {"classes", dataset.classes}}},
                      {"command", command}};
  if (!stored) {
    put_document(kDescriptionKey, description);
    return;
  }
  const Json split = stored->at("settings").value("split", Json());
  bring_up_to_date(*stored, description, path_);
  const Json there = identity_of(*stored);
  const Json here = identity_of(description);
  if (there.at("data") != here.at("data"))
    throw_usage(
        "{}: holds a search on other data: {} there ({} classes, hash {:.12}…), {} here ({} classes, hash "
        "{:.12}…); "
        "give another folder or the same data",
        path_.string(), stored->at("data").at("spec").get<std::string>(),
        there.at("data").at("classes").size(), there.at("data").at("content_hash").get<std::string>(),
        dataset.spec, dataset.classes.size(), dataset.content_hash);
  const Json& seconds = stored->at("settings").at("seconds");
  if (seconds.is_null() && settings.seconds)
    throw_usage(
        "{}: holds a search without a time limit, and this one has one: epochs follow from the time; leave "
        "--time out (--time none) or give another folder",
        path_.string());
  std::vector<std::string> different = differences(there, here);
  if (different.empty()) {
    if (!has_more_time(settings, seconds)) return;
    if (!split.is_null()) description["settings"]["split"] = split;  // what it was divided by
    put_document(kDescriptionKey, description);
    return;
  }
  constexpr size_t kMost = 3;
  const size_t count = different.size();
  if (count > kMost) {
    different.resize(kMost);
    different.push_back(fmt::format("and {} more", count - kMost));
  }
  throw_usage("{}: holds a search with other settings: {}; give another folder or the same settings",
              path_.string(), fmt::join(different, ", "));
}

data::Split StudyFolder::split(const SearchSettings& settings, const data::Dataset& dataset) {
  const std::optional<Json> stored = document(kSplitKey);
  if (!stored) {
    data::Split split = data::stratified_split(dataset, settings.split);
    put_document(kSplitKey, {{"validation", split.validation}, {"test", split.test}});
    return split;
  }
  return stored_split(*stored, dataset);
}

std::string host_name() {
  std::array<char, 256> name{};
  return gethostname(name.data(), name.size() - 1) == 0 ? name.data() : "host";
}

std::string search_identity(const Json& description) {
  const std::string text = dump_json(identity_of(description));
  return sha256_hex(std::span(reinterpret_cast<const uint8_t*>(text.data()), text.size()));
}

data::Split stored_split(const Json& stored, const data::Dataset& dataset) {
  data::Split split;
  read_stored("'split'", [&] {
    split.validation = stored.at("validation").get<std::vector<uint32_t>>();
    split.test = stored.at("test").get<std::vector<uint32_t>>();
  });
  std::vector<bool> elsewhere(dataset.train.count(), false);
  for (const auto* part : {&split.validation, &split.test})
    for (const uint32_t index : *part) {
      if (index >= elsewhere.size())
        throw_failure("the stored split has image {} of {}: the data is not what the search began with",
                      index, elsewhere.size());
      elsewhere[index] = true;
    }
  for (uint32_t i = 0; i < elsewhere.size(); ++i)
    if (!elsewhere[i]) split.train.push_back(i);
  return split;
}

std::string finalist_key(int trial, int run) {
  return fmt::format("finalist/{}/{}", trial, run);
}

void take_best_runs(StudyResult& study, const study::Storage& storage) {
  study.top.clear();
  for (const Finalist& finalist : study.finalists) {
    study.top.push_back(finalist.trial);
    const FinalistRun& best = finalist.runs.at(static_cast<size_t>(finalist.best_run));
    const auto trial = std::ranges::find(study.trials, finalist.trial, &TrialResult::number);
    if (trial == study.trials.end()) continue;
    if (best.seed == trial->seed) {
      if (trial->number >= kTrialsShown)
        *trial = stored_result(storage.trial(trial->number));  // its epochs, too
      continue;
    }
    const auto run = static_cast<int>(best.seed - trial->seed);
    if (const auto stored = read_document(storage, finalist_key(finalist.trial, run)))
      *trial = stored->get<TrialResult>();
  }
}

std::string plan_json(const study::Storage& storage) {
  Json plan = read_document(storage, kPlanKey).value_or(Json::object());
  if (const auto epochs = read_document(storage, kTeacherEpochsKey)) plan["teacher_epochs"] = *epochs;
  if (const auto why = read_document(storage, kNoTeacherKey)) plan["no_teacher"] = why->get<std::string>();
  if (const auto exploration = read_document(storage, kExplorationKey)) plan["exploration"] = *exploration;
  if (const auto recipe = read_document(storage, kRecipeKey)) plan["recipe"] = *recipe;
  return plan.empty() ? std::string() : dump_json(plan);
}

// What is shown of the settings is of its kind; an earlier version's may lack some.
void check_settings(const Json& settings) {
  const auto take = [](const Json& in, const char* name, auto kind) {
    if (const Json value = in.value(name, Json()); !value.is_null())
      static_cast<void>(value.get<decltype(kind)>());
  };
  take(settings, "board", cost::Board());
  take(settings, "seconds", 0.0);
  if (settings.contains("runtime"))
    static_cast<void>(cost::parse_runtime(settings.at("runtime").get<std::string>()));
  if (settings.contains("clock")) static_cast<void>(settings.at("clock").get<std::string>());
  const Json limits = settings.value("limits", Json::object());
  for (const char* name : {"flash_bytes", "ram_bytes", "macs"})
    if (const Json value = limits.value(name, Json()); !value.is_null())
      static_cast<void>(size_from_json(value));
  take(limits, "latency_seconds", 0.0);
  if (!settings.contains("split")) return;
  const Json& split = settings.at("split");
  static_cast<void>(split.at("seed").get<uint64_t>());
  for (const char* name : {"validation_fraction", "test_fraction"})
    static_cast<void>(split.at(name).get<double>());
  if (const Json most = split.value("most_validation_images", Json()); !most.is_null())
    static_cast<void>(size_from_json(most));
}

StudyResult collect(const study::Storage& storage) {
  const std::optional<Json> description = read_document(storage, kDescriptionKey);
  if (!description) throw_usage("the folder holds no search");
  StudyResult study;
  const Json& settings = description->at("settings");
  check_settings(settings);
  const Json& data = description->at("data");
  study.data_spec = data.at("spec");
  study.content_hash = data.at("content_hash");
  study.classes = data.at("classes").get<std::vector<std::string>>();
  study.preset = settings.at("preset");
  study.settings_json = dump_json(settings);
  study.command = description->at("command");
  if (const auto images = read_document(storage, kImagesKey)) {
    study.train_images = size_from_json(images->at("train"));
    study.validation_images = size_from_json(images->at("validation"));
    study.test_images = size_from_json(images->at("test"));
  }
  if (const auto range = read_document(storage, kRangeKey))
    study.range = {.low = range->at("low"), .high = range->at("high")};
  study.plan_json = plan_json(storage);
  if (const auto teacher = read_document(storage, kTeacherKey)) study.teacher = *teacher;
  const auto finalists = read_document(storage, kFinalistsKey);
  const int planned = read_document(storage, kPlanKey).value_or(Json::object()).value("planned", INT_MAX);
  StoredTrials trials = read_trials(storage);
  study.trials = std::move(trials.results);
  study.left_out = static_cast<int>(std::ranges::count_if(
      trials.unfinished, [&](int number) { return finalists.has_value() || number >= planned; }));
  study.top = rank_trials(study.trials, settings.at("top"));
  for (TrialResult& trial : study.trials)
    if (trial.number >= kTrialsShown && shows_epochs(study, trial))
      trial = stored_result(storage.trial(trial.number));
  if (finalists) {
    study.finalists = finalists->at("finalists").get<std::vector<Finalist>>();
    study.best = finalists->at("best");
    take_best_runs(study, storage);
  }
  if (const auto seconds = read_document(storage, kSecondsKey)) study.seconds = *seconds;
  return study;
}

StudyResult load_study(const fs::path& folder, const study::Place& given) {
  const study::Place place = place_of(folder, given);
  if (is_own(folder, place) && !fs::exists(folder / "study.db"))
    throw_usage("{}: holds no search (there is no study.db)", folder.string());
  const auto storage = study::open_storage(place, study::Access::Read);
  try {
    return collect(*storage);
  } catch (const Error& error) {
    throw Error(error.code(), fmt::format("{}: {}", folder.string(), error.what()));
  } catch (const std::bad_alloc&) {
    throw;
  } catch (const std::exception& error) {
    throw_failure("{}: the study is damaged: {}", folder.string(), error.what());
  }
}

}  // namespace retort::search
