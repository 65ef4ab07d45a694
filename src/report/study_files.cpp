#include "report/study_files.h"

#include <algorithm>

#include "base/error.h"
#include "base/file.h"
#include "base/json.h"
#include "int8/tflite.h"
#include "report/sections.h"

namespace retort::report {

cost::Target target_of(const search::StudyResult& study) {
  cost::Target target;
  if (study.settings_json.empty()) return target;
  const Json settings = parse_json(study.settings_json);
  if (settings.contains("runtime"))
    target.runtime = cost::parse_runtime(settings["runtime"].get_ref<const std::string&>());
  if (const Json board = settings.value("board", Json()); !board.is_null())
    target.board = board.get<cost::Board>();
  return target;
}

StudyFiles load_study_files(const search::StudyResult& study, const std::filesystem::path& folder) {
  StudyFiles files{.folder = folder, .models = {}, .analysis = {}, .problems = {}};
  const cost::Target target = target_of(study);
  for (const search::TrialResult* trial : top_trials(study)) {
    if (files.models.size() == kMostDetailed) break;
    if (trial->file.empty() || !std::filesystem::exists(folder / trial->file)) continue;
    try {
      const std::filesystem::path file = without_links(folder, trial->file);
      const std::vector<uint8_t> bytes = read_file(file, int8::kMostTfliteBytes);
      files.models.push_back({trial->number, cost::analyze(int8::read_tflite(bytes, file.string()),
                                                           static_cast<int64_t>(bytes.size()), target)});
    } catch (const Error& error) {
      files.problems.emplace_back(error.what());
    }
  }
  try {
    files.analysis = search::load_analysis(folder);
    // A search that goes on has no exported model yet, and its next one may be another.
    const search::BestModel best = search::best_model(study);
    if (files.analysis && (best.run == nullptr || files.analysis->trial != study.best ||
                           files.analysis->seed != best.run->seed ||
                           files.analysis->mistakes.confusion.size() != study.classes.size()))
      files.analysis.reset();
  } catch (const Error& error) {
    files.problems.emplace_back(error.what());
  }
  return files;
}

}  // namespace retort::report
