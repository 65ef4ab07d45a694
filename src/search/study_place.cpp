#include "search/study_place.h"

#include <fmt/format.h>

#include <algorithm>
#include <optional>
#include <sstream>
#include <string_view>

#include "base/error.h"
#include "base/file.h"
#include "base/json.h"
#include "search/place_mark.h"
#include "search/study_folder.h"
#include "study/secrets.h"

namespace retort::search {
namespace {

namespace fs = std::filesystem;

constexpr const char* kPlaceFile = "storage.json";

struct Remembered {
  study::Place place;
  bool is_ours = false;  // this user's program wrote it
};

Json to_json(const study::Place& place) {
  return {{"url", place.url}, {"study", place.study}, {"artefacts", place.artefacts.string()}};
}

std::optional<Remembered> remembered(const fs::path& folder) {
  const fs::path file = folder / kPlaceFile;
  if (!fs::exists(file)) return std::nullopt;
  try {
    const Json in = parse_json(read_text(file));
    Remembered out{.place = {.url = in.at("url"),
                             .study = in.at("study"),
                             .artefacts = in.at("artefacts").get<std::string>()}};
    out.is_ours = has_mark(dump_json(to_json(out.place)), in.value("mark", ""));
    return out;
  } catch (const Json::exception& error) {
    throw_failure("{}: is damaged: {}; give the search's --storage again", file.string(), error.what());
  }
}

// In a sentence: a stranger's text, in the quotes and escapes of JSON.
std::string shown(const std::string& text) {
  return dump_json(Json(study::hide_passwords(text)));
}

// The same wherever the program is started, and without a password.
study::Place lasting(study::Place place) {
  place.url = study::split_password(place.url).url;
  if (!place.url.starts_with("postgres")) {
    fs::path file = place.url.starts_with("sqlite:") ? place.url.substr(7) : place.url;
    if (place.url.starts_with("sqlite:///")) file = place.url.substr(10);
    place.url = study::sqlite_place(fs::weakly_canonical(fs::absolute(file))).url;
  }
  if (!place.artefacts.empty()) place.artefacts = fs::weakly_canonical(fs::absolute(place.artefacts));
  return place;
}

bool is_same(const study::Place& a, const study::Place& b) {
  return a.url == b.url && a.study == b.study;
}

bool holds_search(const study::Place& place) {
  constexpr std::string_view kFile = "sqlite:";
  if (const std::string url = lasting(place).url;
      url.starts_with(kFile) && !fs::exists(url.substr(kFile.size())))
    return false;
  try {
    return study::open_storage(place, study::Access::Read)->document(kDescriptionKey).has_value();
  } catch (const Error& error) {
    if (error.code() == ErrorCode::Usage) return false;  // there is no such study
    throw;
  }
}

study::Place own_place(const fs::path& folder) {
  return study::sqlite_place(folder / "study.db");
}

}  // namespace

study::Place place_of(const fs::path& folder, const study::Place& given) {
  if (!given.url.empty()) return given;
  std::optional<Remembered> there = remembered(folder);
  // Else whoever made the folder would choose whom this user's password is sent to, and which files are written.
  if (there && !there->is_ours)
    throw_usage(
        "{}: its {} was not written by this user here, and says that the study is {} in {}; if you trust "
        "that place, name it: --storage URL --study NAME",
        folder.string(), kPlaceFile, shown(there->place.study), shown(there->place.url));
  // SQLite follows links.
  if (!there)
    for (const char* file : {"study.db", "study.db-journal", "study.db-wal", "study.db-shm"})
      refuse_link(folder / file);
  study::Place place = there ? std::move(there->place) : own_place(folder);
  place.stop = given.stop;
  return place;
}

study::Place until(const std::stop_token& stop, study::Place place) {
  place.stop = stop;
  return place;
}

study::Place confirmations_of(study::Place place) {
  place.study += ": finalists";
  return place;
}

bool is_own(const fs::path& folder, const study::Place& place) {
  return is_same(lasting(place), lasting(own_place(folder)));
}

void check_place(const fs::path& folder, const study::Place& place) {
  const auto there = remembered(folder);
  if (there ? is_same(lasting(place), there->place) : is_own(folder, place)) return;
  const bool has_another = there || (fs::exists(folder / "study.db") && holds_search(own_place(folder)));
  if (has_another && !holds_search(place))
    throw_usage(
        "{}: holds a search already, whose study {}; give another folder for this one", folder.string(),
        there ? fmt::format("'{}' is in {}", there->place.study, study::hide_passwords(there->place.url))
              : "is in the folder itself");
}

void remember_place(const fs::path& folder, const study::Place& place) {
  if (is_own(folder, place)) return;
  const study::Place now = lasting(place);
  const auto before = remembered(folder);
  if (before && before->is_ours && is_same(before->place, now) && before->place.artefacts == now.artefacts)
    return;
  Json out = to_json(now);
  out["mark"] = mark_of(dump_json(out));
  write_text_atomic(folder / kPlaceFile, dump_json(out, 2) + "\n");
}

std::string worker_name(const fs::path& folder, bool is_shared) {
  const std::string path = fs::canonical(folder).string();
  const fs::path file = folder / kWorkerFile;
  std::string digits;
  std::string drawn_at;
  if (fs::exists(file)) {
    std::istringstream text(read_text(file));
    text >> digits >> std::ws;
    std::getline(text, drawn_at);
  }
  const bool is_whole = digits.size() == random_hex().size() &&
                        digits.find_first_not_of("0123456789abcdef") == std::string::npos;
  if (!is_whole || (is_shared && drawn_at != path)) {
    digits = random_hex();
    write_text_atomic(file, fmt::format("{} {}\n", digits, path));
  }
  return fmt::format("{}:{}#{}", host_name(), path, digits);
}

}  // namespace retort::search
