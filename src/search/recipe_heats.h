// The rung of recipes: after the heats the best structure is trained by several recipes (recipe.h) through the whole
// pipeline, from fresh weights, with equal seconds or, without a limit of time, equal epochs. What is best by int8
// validation accuracy trains all candidates. Private to this room.
#pragma once

#include <cstddef>
#include <optional>
#include <span>
#include <vector>

#include "search/session.h"
#include "search/study_folder.h"

namespace retort::search {

// Of `heat_seconds`, the time of a timed search's heats, what the rung takes; 0 where there is none: nothing can vary, or
// (which is said) the time is too short for a fair comparison.
double seconds_for_recipes(Session& session, double heat_seconds);

// Decides by which recipe the candidates are trained, or goes on where an earlier run was cut off. What was decided once
// is kept to. `seconds`: for the rung; not looked at without a limit of time.
void run_recipe_heats(Session& session, double seconds);

// Gives candidates the recipe that was decided, each as far as its structure can follow it.
void set_recipe(const Session& session, std::vector<StoredProposal>& candidates);

// The recipe that replaces the control: that of the most accurate of these trials (Effort::Recipe), where it is better by
// more than the standard error of the difference of two accuracies on so many validation images, √(Σ p(1 − p) / images).
// Nothing where none is, or where none was completed.
std::optional<Recipe> better_recipe(std::span<const TrialResult> trials, const Recipe& control,
                                    size_t images);

}  // namespace retort::search
