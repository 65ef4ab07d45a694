// How a search goes on that is not told again what it was begun with.
#include <algorithm>

#include "base/error.h"
#include "base/json.h"
#include "base/parallel.h"
#include "data/reader.h"
#include "graph/notebook.h"
#include "search/json_numbers.h"
#include "search/search.h"
#include "search/study_folder.h"
#include "search/study_place.h"

namespace retort::search {
namespace {

namespace fs = std::filesystem;

// A file by its name in the folder `from`, where it was so called; by its own where it is not there.
std::string file_from(const std::string& name, const fs::path& from) {
  std::error_code ignored;
  const fs::path whole = from / name;
  return !name.empty() && fs::exists(whole, ignored) ? whole.string() : name;
}

}  // namespace

StoredSearch stored_search(const fs::path& folder, const study::Place& given) {
  const study::Place place = place_of(folder, given);
  if (is_own(folder, place) && !fs::exists(folder / "study.db"))
    throw_usage("{}: holds no search that could go on: a new one needs --data", folder.string());
  const auto storage = study::open_storage(place, study::Access::Read);
  const auto description = read_document(*storage, kDescriptionKey);
  if (!description)
    throw_usage("{}: holds no search that could go on: a new one needs --data", folder.string());
  try {
    const Json& source = description->at("data");
    const std::string from = source.value("from", "");
    StoredSearch stored = {.settings = description->at("settings"),
                           .data_spec = data::spec_from(source.at("spec").get<std::string>(), from),
                           .command = description->at("command")};
    TeacherSettings& teacher = stored.settings.teacher;
    teacher.path = file_from(teacher.path, from);
    if (graph::is_config_file(teacher.config)) teacher.config = file_from(teacher.config, from);
    if (const auto run = read_document(*storage, kLastRunKey)) {
      // A machine of fewer cores has one worker for each: their number changes nothing.
      stored.workers = std::min(threads_from_json(run->at("workers")), available_cores());
      stored.teacher_threads = threads_from_json(run->at("teacher_threads"));
      if (!run->at("memory_bytes").is_null()) stored.memory_bytes = size_from_json(run->at("memory_bytes"));
    }
    return stored;
  } catch (const Json::exception&) {
    throw_usage("{}: holds a search of an earlier version: give its command as it was begun",
                folder.string());
  }
}

}  // namespace retort::search
