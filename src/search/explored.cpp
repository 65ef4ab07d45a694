#include "search/explored.h"

#include <algorithm>
#include <iterator>
#include <utility>

#include "base/json.h"
#include "base/units.h"
#include "search/candidates.h"
#include "search/plan.h"

namespace retort::search {

std::vector<TrialResult> trials_of(const Session& session, Effort effort) {
  std::vector<TrialResult> trials;
  std::ranges::copy_if(session.study.trials, std::back_inserter(trials),
                       [effort](const TrialResult& trial) { return trial.effort == effort; });
  return trials;
}

size_t count_trials(const Session& session, Effort effort) {
  return static_cast<size_t>(std::ranges::count(session.study.trials, effort, &TrialResult::effort));
}

double epoch_seconds(const Session& session, const TrialResult& trial, Effort effort) {
  // Candidates have equal seconds, so that their epochs follow from this: in a usual search half of them are validated.
  const int epochs = effort == Effort::Full
                         ? std::min(session.settings.pipeline.distill_epochs, 2 * kStageValidations)
                         : session.settings.exploration.heat_epochs;
  constexpr Speed kUnit{.train_image = 1, .predict_image = kPredictShare};
  double units = 0;
  for (const StageResult& stage : trial.stages)
    if (stage.trained > 0) units += stage.trained * kUnit.epoch(session.split, stage.trained);
  return units > 0 ? kUnit.epoch(session.split, epochs) * training_seconds(trial.stages) / units : 0;
}

std::string line(const TrialResult& trial) {
  if (trial.outcome != Outcome::Complete) return fmt::format("trial {}: {}", trial.number, trial.reason);
  std::string text =
      fmt::format("trial {}: {:.2f}% int8, {} of flash, {} of RAM, {} multiply-accumulates: {}", trial.number,
                  trial.accuracy_int8 * 100, format_bytes(trial.footprint.flash_bytes()),
                  format_bytes(trial.footprint.ram_bytes()), format_count(trial.macs), trial.config);
  if (trial.parent >= 0) text += fmt::format(" (from trial {})", trial.parent);
  if (trial.recipe) text += fmt::format(", {}", to_string(*trial.recipe));
  return text;
}

PipelineSettings short_pipeline(const Session& session, int epochs) {
  PipelineSettings pipeline = session.pipeline;
  pipeline.stages = {"distill", "export"};
  pipeline.distill_epochs = epochs;
  return pipeline;
}

std::vector<StoredProposal> again(Session& session, const std::vector<int>& numbers, Effort effort) {
  std::vector<StoredProposal> proposals;
  for (const int number : numbers) {
    StoredProposal proposal = proposal_of(session.folder.storage().trial(number));
    proposal.effort = effort;
    proposal.recipe.reset();
    proposal.proposal.parent = number;
    proposal.epochs.clear();
    proposal.epoch_seconds = epoch_seconds(session, *find_trial(session.study, number), effort);
    proposals.push_back(std::move(proposal));
  }
  return proposals;
}

}  // namespace retort::search
