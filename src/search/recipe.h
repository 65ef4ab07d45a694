// How a network is trained and made small on its way to int8, in four numbers: what a search varies beside its structure.
// Any combination of them is a pipeline of pipeline.h's stages.
#pragma once

#include <array>
#include <optional>
#include <string>
#include <vector>

#include "base/json_fwd.h"
#include "base/rng.h"
#include "graph/graph.h"
#include "search/settings.h"

namespace retort::search {

// The stages whose part in a recipe a search may vary: alpha, wider, sparsity and qat.
inline constexpr std::array kRecipeStages = {"distill", "channels", "prune", "quantize"};

// The widest network that channels are removed from, as a multiple of the structure's widths.
inline constexpr double kWidest = 4;

struct Recipe {
  float alpha =
      1;  // share of the labels in distillation's loss, the teacher has the rest; 1: no distillation
  double sparsity = 0;  // zeros among the kernels' weights after magnitude pruning; 0: none
  double qat = 0;       // share of the epochs that is quantisation-aware training; 0: none
  double wider = 1;     // structured pruning removes channels from a network so many times wider; 1: none
  bool operator==(const Recipe&) const = default;
};

// Throws Error(Failure) with the field and what would be right: a study may come from anybody.
void to_json(Json& json, const Recipe& recipe);
void from_json(const Json& json, Recipe& recipe);

// "alpha 0.3, 50% zeros, from 1.25x wider, no quantisation-aware training"
std::string to_string(const Recipe& recipe);

// Whether pipelines with these stages can follow a recipe: they distil and export.
bool follows_recipes(const PipelineSettings& settings);

// Whether a search compares recipes at all: after heats, several of them.
bool compares_recipes(const SearchSettings& settings);

// What the settings say by themselves.
Recipe recipe_of(const PipelineSettings& settings);

// Epochs of all stages but the quick evaluation.
int recipe_epochs(const PipelineSettings& settings);

// The settings with the stages, the shares of the epochs and the amounts that the recipe says, and `epochs` in all, as
// recipe_epochs() counts them (at least one a stage; none given: as many as before). A stage that the settings have stays
// at its place; else channels come off before distillation, and pruning and quantisation-aware training follow it.
// with_recipe(s, recipe_of(s)) is s. Throws Error(Usage) unless follows_recipes(settings).
PipelineSettings with_recipe(PipelineSettings settings, const Recipe& recipe,
                             std::optional<int> epochs = std::nullopt);
// The settings' own where there is none.
PipelineSettings with_recipe(const PipelineSettings& settings, const std::optional<Recipe>& recipe);

// The recipe as far as this structure can follow it: without structured pruning where nothing can be widened.
Recipe applicable(Recipe recipe, const graph::Graph& graph);

// Seconds of a mean epoch of these stages, as a multiple of those of an epoch of the structure itself: epochs of the wide
// network that channels are removed from take longer.
double relative_epoch(const PipelineSettings& settings, const graph::Graph& graph);
// The same of an epoch of the stage `channels` alone; 1 where it is absent or the structure cannot be widened.
double relative_wide_epoch(const PipelineSettings& settings, const graph::Graph& graph);

// Up to `count` different recipes, the control first, then such as change one thing of it (the most promising first), then
// random combinations. `vary`: the stages of kRecipeStages whose part in the recipe may change.
std::vector<Recipe> recipes_to_try(const Recipe& control, const std::vector<std::string>& vary, size_t count,
                                   Rng rng);

}  // namespace retort::search
