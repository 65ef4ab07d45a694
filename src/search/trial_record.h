// What a search stores of a trial beside its JSON, so that Optuna and its dashboard show it. Private to this
// room.
#pragma once

#include <span>
#include <vector>

#include "search/results.h"
#include "search/settings.h"
#include "search/study_folder.h"
#include "study/storage.h"

namespace retort::search {

// int8 accuracy on validation, flash, RAM, multiply-accumulates: what pareto_front() weighs.
const std::vector<study::Objective>& objectives();

// Its genes; how far it is above each limit, as a share of it; its costs.
study::NewTrial to_new_trial(const StoredProposal& stored, const SearchSettings& settings);

// Its objectives when it is complete.
study::Ending to_ending(const TrialResult& result);

// The validation accuracy of a stage's epochs, which count on over the stages `before` it; none of those that were not
// validated.
std::vector<study::IntermediateValue> intermediate_values(std::span<const StageResult> before,
                                                          const engine::History& stage);

}  // namespace retort::search
