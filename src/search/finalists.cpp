#include "search/finalists.h"

#include <algorithm>
#include <cmath>

#include "base/error.h"
#include "base/file.h"
#include "base/json.h"
#include "data/split_record.h"
#include "int8/tflite.h"
#include "search/json_costs.h"
#include "search/json_numbers.h"
#include "search/search.h"

namespace retort::search {
namespace {

struct Mean {
  int count = 0;
  double mean = 0;
  double spread = 0;  // sample standard deviation
};

template <typename Value>
Mean mean_of(const std::vector<FinalistRun>& runs, Value value) {
  Mean result;
  double squares = 0;
  // Welford's updates.
  for (const FinalistRun& run : runs) {
    const double x = run.*value;
    if (!std::isfinite(x)) continue;
    const double delta = x - result.mean;
    result.mean += delta / ++result.count;
    squares += delta * (x - result.mean);
  }
  if (result.count == 0) result.mean = kUnknown;
  if (result.count > 1) result.spread = std::sqrt(squares / (result.count - 1));
  return result;
}

// How a program on the device makes the model's input from what it measures.
std::string input_meaning(const data::ValueRange& range) {
  std::string image_byte = "a byte b of the image";
  if (range != data::ValueRange{})
    image_byte = "a value v is the byte b = round(255 * (v - low) / (high - low)), from 0 to 255; it";
  return image_byte + " stands for b / 255; an int8 input is b - 128";
}

// Null for a study of an earlier version, which did not store it.
Json split_json(const StudyResult& study, const Json& settings) {
  if (settings.is_null() || !settings.contains("split")) return nullptr;
  return data::SplitRecord{.options = settings.at("split"),
                           .train_images = study.train_images,
                           .validation_images = study.validation_images};
}

}  // namespace

FinalistRun run_of(const TrialResult& trial) {
  return {.seed = trial.seed,
          .validation_accuracy = trial.accuracy_int8,
          .file = trial.file,
          .accuracy_float = trial.accuracy_float,
          .sparsity = trial.sparsity};
}

void summarise(Finalist& finalist) {
  const Mean validation = mean_of(finalist.runs, &FinalistRun::validation_accuracy);
  finalist.validation_mean = validation.mean;
  finalist.validation_spread = validation.spread;
  const Mean test = mean_of(finalist.runs, &FinalistRun::test_accuracy);
  finalist.test_mean = test.mean;
  finalist.test_spread = test.spread;
  finalist.best_run = 0;
  for (size_t i = 1; i < finalist.runs.size(); ++i)
    if (finalist.runs[i].validation_accuracy >
        finalist.runs[static_cast<size_t>(finalist.best_run)].validation_accuracy)
      finalist.best_run = static_cast<int>(i);
}

void rank(std::vector<Finalist>& finalists) {
  std::ranges::stable_sort(finalists, [](const Finalist& a, const Finalist& b) {
    const Mean of_a = mean_of(a.runs, &FinalistRun::validation_accuracy);
    const Mean of_b = mean_of(b.runs, &FinalistRun::validation_accuracy);
    return of_a.count != of_b.count ? of_a.count > of_b.count : of_a.mean > of_b.mean;
  });
}

namespace {

// The run whose file stands for a trial.
FinalistRun best_run_of(const StudyResult& study, const TrialResult& trial) {
  if (const Finalist* finalist = find_finalist(study, trial.number))
    return finalist->runs.at(static_cast<size_t>(finalist->best_run));
  return run_of(trial);
}

}  // namespace

std::string model_card(const StudyResult& study, const std::filesystem::path& folder, int number) {
  const TrialResult* trial = find_trial(study, number);
  if (trial == nullptr) throw_usage("the search has no trial {}", number);
  const FinalistRun run = best_run_of(study, *trial);
  const Finalist* finalist = find_finalist(study, number);
  Json seeds = Json::array();
  for (const FinalistRun& each : finalist == nullptr ? std::vector{run} : finalist->runs)
    seeds.push_back({{"seed", each.seed},
                     {"validation", number_to_json(each.validation_accuracy)},
                     {"test", number_to_json(each.test_accuracy)}});
  const Json settings = study.settings_json.empty() ? Json() : parse_json(study.settings_json);
  const Json card = {
      {"file", "model.tflite"},
      {"sha256", sha256_hex(read_file(without_links(folder, run.file)))},
      {"config", trial->config},
      {"layers", trial->layers},
      {"structural_hash", trial->hash},
      {"accuracy_int8", number_to_json(run.validation_accuracy)},
      {"accuracy_float", number_to_json(run.accuracy_float)},
      {"test",
       {{"accuracy_int8", number_to_json(run.test_accuracy)},
        {"mean", number_to_json(finalist == nullptr ? kUnknown : finalist->test_mean)},
        {"spread", number_to_json(finalist == nullptr ? kUnknown : finalist->test_spread)}}},
      {"runs", seeds},
      {"flash_bytes", trial->flash_bytes},
      {"arena_bytes", {{"cortex-m4", trial->arena_bytes_cortex_m4}, {"host", trial->arena_bytes_host}}},
      {"runtime", settings.is_null() ? Json() : settings.value("runtime", Json())},
      {"footprint", trial->footprint},
      {"board", settings.is_null() ? Json() : settings.value("board", Json())},
      {"latency", latency_to_json(trial->latency)},
      {"macs", trial->macs},
      {"parameters", trial->parameters},
      {"sparsity", run.sparsity},
      {"classes", study.classes},
      {"input",
       {{"meaning", input_meaning(study.range)},
        {"range", {{"low", study.range.low}, {"high", study.range.high}}},
        {"ends", settings.is_null() ? Json() : settings.at("pipeline").at("ends")}}},
      {"data", {{"spec", study.data_spec}, {"content_hash", study.content_hash}}},
      {"split", split_json(study, settings)},
      {"seed", run.seed},
      {"trial", trial->number},
      {"teacher", study.teacher.source},
      {"command", study.command}};
  return dump_json(card, 2) + "\n";
}

void write_model(const StudyResult& study, const std::filesystem::path& folder, int trial,
                 const std::filesystem::path& to, const std::vector<deploy::ExampleImage>& images) {
  const std::string card = model_card(study, folder, trial);
  const std::filesystem::path file =
      without_links(folder, best_run_of(study, *find_trial(study, trial)).file);
  const std::vector<uint8_t> tflite = read_file(file);
  const int8::QuantGraph graph = int8::read_tflite(tflite, file.string());
  const deploy::Files code = deploy::exporter("c").files(
      {.graph = graph, .tflite = tflite, .about_json = card, .command = "", .images = images});
  write_file_atomic(to / "model.tflite", tflite);
  write_text_atomic(to / "model.json", card);
  for (const auto& [path, content] : code) write_text_atomic(to / "c" / path, content);
}

}  // namespace retort::search
