// What of a search is the same whenever, wherever and on however many workers it runs.
#pragma once

#include <filesystem>

#include "base/file.h"
#include "base/json.h"
#include "search/results.h"

namespace retort::search {

// Everything that must not depend on time, workers or interruptions.
inline Json essence(const StudyResult& study, const std::filesystem::path& folder) {
  Json out = study;
  const auto forget_times = [](Json& training) {  // a stage's, the teacher's
    training.erase("seconds");
    training["history"].erase("seconds");
    for (Json& epoch : training["history"]["epochs"]) epoch.erase("seconds");
  };
  out.erase("seconds");
  forget_times(out["teacher"]);
  out["teacher"].erase("logits_seconds");
  for (Json& trial : out["trials"]) {
    trial.erase("seconds");
    for (Json& stage : trial["stages"]) forget_times(stage);
    if (trial["outcome"] == "complete") trial["bytes"] = sha256_hex(read_file(folder / trial["file"]));
  }
  if (study.best >= 0) out["best_bytes"] = sha256_hex(read_file(folder / "best" / "model.tflite"));
  return out;
}

}  // namespace retort::search
