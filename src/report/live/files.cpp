#include "report/live/files.h"

#include <algorithm>
#include <system_error>

#include "base/error.h"
#include "base/file.h"

namespace retort::report {
namespace {

namespace fs = std::filesystem;

constexpr uintmax_t kLargest = uintmax_t{64} << 20U;

}  // namespace

std::vector<std::string> files_of(const search::StudyResult& study, const search::TrialResult& trial) {
  std::vector<std::string> files;
  const auto add = [&](const std::string& file) {
    if (!file.empty() && search::is_plain_file(file) && std::ranges::count(files, file) == 0)
      files.push_back(file);
  };
  add(trial.file);
  if (const search::Finalist* finalist = search::find_finalist(study, trial.number))
    for (const search::FinalistRun& run : finalist->runs) add(run.file);
  return files;
}

std::vector<std::string> files_of(const search::StudyResult& study) {
  std::vector<std::string> files = {"report.html", "trials.csv", "study.json"};
  if (study.best >= 0) files.insert(files.end(), {"best/model.tflite", "best/model.json"});
  return files;
}

std::optional<std::vector<uint8_t>> linked_file(const search::StudyResult& study, const fs::path& folder,
                                                const std::string& file) {
  const auto has = [&](const std::vector<std::string>& files) { return std::ranges::count(files, file) > 0; };
  if (!has(files_of(study)) && std::ranges::none_of(study.trials, [&](const search::TrialResult& trial) {
        return has(files_of(study, trial));
      }))
    return std::nullopt;
  std::error_code error;
  const fs::path root = fs::canonical(folder, error);
  if (error) return std::nullopt;
  const fs::path path = fs::canonical(root / file, error);
  if (error) return std::nullopt;
  const auto [end, ignored] = std::ranges::mismatch(root, path);
  if (end != root.end() || !fs::is_regular_file(path, error) || fs::file_size(path, error) > kLargest ||
      error)
    return std::nullopt;
  try {
    return read_file(path);
  } catch (const Error&) {
    return std::nullopt;  // it went while we looked
  }
}

}  // namespace retort::report
