#include "search/candidates.h"

#include <fmt/format.h>

#include <algorithm>
#include <chrono>
#include <exception>
#include <map>
#include <new>
#include <utility>

#include "base/base64.h"
#include "base/file.h"
#include "base/json.h"
#include "base/units.h"
#include "base/work_clock.h"
#include "engine/checkpoint.h"
#include "int8/tflite.h"
#include "search/keep.h"
#include "search/memory_budget.h"
#include "search/teacher.h"

namespace retort::search {
namespace {

namespace fs = std::filesystem;

constexpr const char* kStagesFile = "stages.json";

double accuracy_after(const std::vector<StageResult>& stages, std::string_view name) {
  const auto found = std::ranges::find(stages, name, &StageResult::name);
  return found == stages.end() ? kUnknown : found->validation_accuracy;
}

// Before quantisation-aware training; when there is none, the last.
double float_accuracy(const std::vector<StageResult>& stages) {
  double accuracy = kUnknown;
  for (const StageResult& stage : stages)
    if (stage.name != "quantize") accuracy = stage.validation_accuracy;
  return accuracy;
}

std::vector<std::string> unfinished_files() {
  std::vector<std::string> names;
  for (const std::string& stage : stage_names())
    for (const char* ending : {".retort", ".checkpoint", ".best"}) names.push_back(stage + ending);
  names.emplace_back(kStagesFile);  // last: the truth about the rest
  return names;
}

// Whoever may write to the study's database says what the others train.
void check_network(const graph::Graph& graph, const data::Dataset& dataset) {
  const graph::Shape takes = graph.input_shape();
  const graph::Shape images = input_shape(dataset);
  if (takes.height != images.height || takes.width != images.width || takes.channels != images.channels ||
      graph.classes() != static_cast<int>(dataset.classes.size()))
    throw_failure("the stored network takes {} and tells {} classes apart, the data's images are {} of {}",
                  to_string(takes), graph.classes(), to_string(images), dataset.classes.size());
}

TrialResult begun_result(const StoredProposal& stored, const CandidateRun& run) {
  TrialResult result = stored.costs;
  result.number = run.trial;
  result.config = stored.proposal.config;
  result.layers = stored.proposal.layers;
  result.hash = stored.proposal.hash;
  result.seed = run.seed;
  result.effort = stored.effort;
  result.parent = stored.proposal.parent;
  result.recipe = stored.recipe;
  return result;
}

}  // namespace

std::string trial_name(int number) {
  return fmt::format("trial {}", number);
}

fs::path trial_folder(int number) {
  return fs::path("trials") / fmt::format("{}", number);
}

CandidateRun candidate_run(const StoredProposal& stored, int number, uint64_t seed,
                           const cost::Target& target) {
  if (!stored.confirms)
    return {.trial = number,
            .seed = seed,
            .name = trial_name(number),
            .file = trial_folder(number),
            .epochs = {},
            .target = target};
  const Confirmation& confirms = *stored.confirms;
  return {.trial = confirms.trial,
          .seed = confirms.seed,
          .name = fmt::format("{}, seed {}", trial_name(confirms.trial), confirms.seed),
          .file = trial_folder(confirms.trial) / fmt::format("seed-{}", confirms.seed),
          .epochs = confirms.epochs,
          .target = target};
}

void set_costs(TrialResult& result, const cost::Cost& cost) {
  result.parameters = cost.parameters;
  result.macs = cost.macs;
  result.flash_bytes = cost.flash_bytes;
  result.arena_bytes_cortex_m4 = cost.cortex_m4.used_bytes();
  result.arena_bytes_host = cost.host.used_bytes();
  result.footprint = cost.footprint;
  result.latency = cost.latency;
}

double training_seconds(std::span<const StageResult> stages) {
  double seconds = 0;
  for (const StageResult& stage : stages) seconds += stage.seconds;
  return seconds;
}

TrialResult failed_result(const StoredProposal& stored, const CandidateRun& run, std::string reason) {
  TrialResult result = begun_result(stored, run);
  result.outcome = Outcome::Failed;
  result.reason = std::move(reason);
  return result;
}

TrialResult run_candidate(const StoredProposal& stored, const CandidateRun& run, const fs::path& study,
                          const Context& shared) {
  TrialResult result = begun_result(stored, run);
  if (!stored.infeasible.empty()) {
    result.outcome = Outcome::Infeasible;
    result.reason = stored.infeasible;
    return result;
  }
  const PipelineSettings settings = with_recipe(shared.settings, stored.recipe);
  const Context context = shared.with(settings);
  const fs::path folder = without_links(study, run.file);
  // The structure's own stream: neither its number nor the other candidates change its numbers.
  const Rng rng = Rng(run.seed).fork("candidate " + stored.proposal.hash);
  Candidate candidate;
  int64_t predicted_bytes = 0;
  const ThreadClock::time_point start = ThreadClock::now();
  try {
    check_network(stored.proposal.graph, context.dataset);
    // Before its weights are drawn.
    std::optional<MemoryBudget::Share> share;
    if (context.memory != nullptr) {
      predicted_bytes = candidate_bytes(stored.proposal.graph, context);
      share.emplace(*context.memory, predicted_bytes, context.stop);
    }
    candidate = run.weights ? adopt_candidate(run.name, stored.proposal.graph, *run.weights, rng, folder)
                            : make_candidate(run.name, stored.proposal.graph, rng, folder);
    candidate.epochs = run.epochs;
    result.outcome = run_stages(candidate, context) == Verdict::Skip ? Outcome::Skipped : Outcome::Complete;
    result.reason = candidate.reason;
    if (result.outcome == Outcome::Complete) {
      // The last stage is export. NOLINTNEXTLINE(bugprone-unchecked-optional-access): value() checks
      const ExportedModel& exported = candidate.exported.value();
      const std::vector<uint8_t>& tflite = exported.tflite;
      result.accuracy_int8 = exported.validation_accuracy;
      result.sparsity = exported.sparsity;
      set_costs(result, cost::analyze(int8::read_tflite(tflite, "the exported model"),
                                      static_cast<int64_t>(tflite.size()), run.target));
      result.file = (run.file / "model.tflite").string();
      keep([&] {
        engine::save_model(folder / "weights.retort", {candidate.graph, candidate.parameters,
                                                       context.dataset.classes, context.split_record});
      });
    }
  } catch (const FolderError&) {
    throw;
  } catch (const study::LostLease&) {
    throw;
  } catch (const Error& error) {
    // A wrong setting or file is the user's to mend, and every other candidate would meet it too.
    if (error.code() == ErrorCode::Interrupted || error.code() == ErrorCode::Usage) throw;
    result.outcome = Outcome::Failed;
    result.reason = error.what();
    if (dynamic_cast<const NoRoom*>(&error) != nullptr) {
      result.refused_memory_bytes = context.memory->limit();
      result.is_hopeless = true;
    }
  } catch (const std::bad_alloc&) {
    result.outcome = Outcome::Failed;
    result.reason =
        predicted_bytes == 0
            ? "out of memory before it was trained"
            : fmt::format(
                  "out of memory, where {} should have been enough: train fewer at once (--workers) or on "
                  "smaller batches (--batch)",
                  format_bytes(predicted_bytes));
  } catch (const std::exception& error) {
    result.outcome = Outcome::Failed;
    result.reason = error.what();
  }
  result.stages = candidate.stages;
  result.diverged = candidate.diverged;
  // With the lower rate too it would do so again.
  result.is_hopeless |= result.diverged.size() > kMostDivergences;
  result.quick_accuracy = accuracy_after(result.stages, "quick");
  result.accuracy_float = float_accuracy(result.stages);
  // Training as its own clock counted it over resumed runs, and what this run spent beside it.
  result.seconds = std::max(training_seconds(result.stages), seconds_since(start));
  keep([&] { write_text_atomic(folder / "result.json", dump_json(Json(result), 2) + "\n"); });
  return result;
}

bool has_room(const StoredProposal& stored, const Context& shared) {
  const PipelineSettings settings = with_recipe(shared.settings, stored.recipe);
  try {
    return candidate_bytes(stored.proposal.graph, shared.with(settings)) <= shared.memory->left();
  } catch (const Error&) {
    return false;
  }
}

bool is_untidy(const fs::path& folder) {
  std::error_code ignored;  // it comes first and goes last
  return fs::exists(folder / kStagesFile, ignored);
}

void tidy_up(const fs::path& folder) {
  std::error_code ignored;
  for (const std::string& name : unfinished_files()) fs::remove(folder / name, ignored);
  remove_temporaries(folder);
}

std::vector<uint8_t> pack(const fs::path& folder, const study::Claim& claim) {
  Json files = Json::object();
  for (const std::string& name : unfinished_files())
    if (fs::exists(folder / name)) files[name] = to_base64(read_file(folder / name));
  // With the claim they are no other trial's bytes.
  const std::string text =
      dump_json(Json{{"trial", claim.trial}, {"worker", claim.worker}, {"files", std::move(files)}});
  return {text.begin(), text.end()};
}

void unpack(std::span<const uint8_t> bytes, const fs::path& folder) {
  std::map<std::string, std::vector<uint8_t>> files;
  try {
    const Json packed = parse_json({reinterpret_cast<const char*>(bytes.data()), bytes.size()}).at("files");
    for (const std::string& name : unfinished_files())
      if (packed.contains(name)) files[name] = from_base64(packed[name].get_ref<const std::string&>());
  } catch (const std::exception& error) {
    throw_failure("a checkpoint from another machine is damaged: {}", error.what());
  }
  keep([&] {
    tidy_up(folder);
    for (const auto& [name, content] : files) write_file_atomic(folder / name, content);
  });
}

}  // namespace retort::search
