#include "search/recipe.h"

#include <fmt/ranges.h>

#include <algorithm>
#include <array>
#include <cmath>
#include <string_view>
#include <utility>

#include "base/error.h"
#include "base/json.h"
#include "compress/widening.h"
#include "engine/work.h"
#include "search/draws.h"

namespace retort::search {
namespace {

// Of the epochs that are for the float network: those of the wide one, before its channels are removed.
constexpr double kWideShare = 0.7;
// Of all epochs, where the settings do not prune.
constexpr double kPruneShare = 0.2;

bool has(const PipelineSettings& settings, std::string_view stage) {
  return std::ranges::find(settings.stages, stage) != settings.stages.end();
}

int epochs_of(const PipelineSettings& settings, std::string_view stage, int epochs) {
  return has(settings, stage) ? epochs : 0;
}

double number(const Json& in, const char* name, double least, double most) {
  const auto found = in.is_object() ? in.find(name) : in.end();
  if (found == in.end() || !found->is_number())
    throw_failure("a stored recipe's {} must be a number from {} to {}", name, least, most);
  const auto value = found->get<double>();
  if (!(value >= least && value <= most))
    throw_failure("a stored recipe's {} is {}, but must be from {} to {}", name, value, least, most);
  return value;
}

// There or not, as wanted; a new one before or behind the stage `beside`.
enum class Side { Before, Behind };
void place(std::vector<std::string>& stages, const char* stage, bool wanted, std::string_view beside,
           Side side) {
  const auto found = std::ranges::find(stages, stage);
  if (found != stages.end()) {
    if (!wanted) stages.erase(found);
    return;
  }
  if (wanted) stages.insert(std::ranges::find(stages, beside) + (side == Side::Behind ? 1 : 0), stage);
}

int share_of(int epochs, double share) {
  return std::max(static_cast<int>(std::lround(share * epochs)), 1);
}

}  // namespace

void to_json(Json& out, const Recipe& recipe) {
  out = {
      {"alpha", recipe.alpha}, {"sparsity", recipe.sparsity}, {"qat", recipe.qat}, {"wider", recipe.wider}};
}

void from_json(const Json& in, Recipe& recipe) {
  recipe = {.alpha = static_cast<float>(number(in, "alpha", 0, 1)),
            .sparsity = number(in, "sparsity", 0, 1),
            .qat = number(in, "qat", 0, 1),
            .wider = number(in, "wider", 1, kWidest)};
}

std::string to_string(const Recipe& recipe) {
  std::vector<std::string> parts;
  parts.push_back(recipe.alpha < 1 ? fmt::format("alpha {:.2g}", recipe.alpha) : "no distillation");
  if (recipe.sparsity > 0) parts.push_back(fmt::format("{:.0f}% zeros", recipe.sparsity * 100));
  if (recipe.wider > 1) parts.push_back(fmt::format("from {:.3g}x wider", recipe.wider));
  parts.push_back(recipe.qat > 0 ? fmt::format("{:.0f}% quantisation-aware training", recipe.qat * 100)
                                 : "no quantisation-aware training");
  return fmt::format("{}", fmt::join(parts, ", "));
}

bool follows_recipes(const PipelineSettings& settings) {
  return has(settings, "distill") && has(settings, "export");
}

bool compares_recipes(const SearchSettings& settings) {
  const Exploration& exploration = settings.exploration;
  return exploration.epochs > 0 && exploration.heats > 0 && exploration.recipes > 1 &&
         follows_recipes(settings.pipeline);
}

Recipe recipe_of(const PipelineSettings& settings) {
  return {.alpha = settings.alpha,
          .sparsity = has(settings, "prune") ? settings.pruning.final_sparsity : 0,
          .qat = has(settings, "quantize")
                     ? static_cast<double>(settings.qat_epochs) / recipe_epochs(settings)
                     : 0,
          .wider = has(settings, "channels") ? settings.wider : 1};
}

int recipe_epochs(const PipelineSettings& settings) {
  return epochs_of(settings, "channels", settings.channels_epochs) +
         epochs_of(settings, "distill", settings.distill_epochs) +
         epochs_of(settings, "prune", settings.prune_epochs) +
         epochs_of(settings, "quantize", settings.qat_epochs);
}

PipelineSettings with_recipe(PipelineSettings settings, const Recipe& recipe, std::optional<int> epochs) {
  if (!follows_recipes(settings))
    throw_usage("a recipe is for a pipeline with the stages distill and export");
  const int before = recipe_epochs(settings);
  const int total = epochs.value_or(before);
  const bool prunes = recipe.sparsity > 0;
  const bool quantises = recipe.qat > 0;
  const bool narrows = recipe.wider > 1;
  const double prune_share =
      has(settings, "prune") ? static_cast<double>(settings.prune_epochs) / before : kPruneShare;
  const double wide_share = has(settings, "channels")
                                ? static_cast<double>(settings.channels_epochs) /
                                      (settings.channels_epochs + settings.distill_epochs)
                                : kWideShare;

  settings.alpha = recipe.alpha;
  if (prunes) {
    compress::PruningOptions& pruning = settings.pruning;
    if (!has(settings, "prune")) {
      // Zeros that come gradually, by a network that listens to its teacher on.
      pruning.initial_sparsity = 0;
      settings.prune_alpha = recipe.alpha;
    }
    pruning.initial_sparsity = std::min(pruning.initial_sparsity, recipe.sparsity);
    pruning.final_sparsity = recipe.sparsity;
  }
  if (narrows) settings.wider = recipe.wider;

  place(settings.stages, "channels", narrows, "distill", Side::Before);
  place(settings.stages, "prune", prunes, "distill", Side::Behind);
  place(settings.stages, "quantize", quantises, prunes ? "prune" : "distill", Side::Behind);

  if (prunes) settings.prune_epochs = share_of(total, prune_share);
  if (quantises) settings.qat_epochs = share_of(total, recipe.qat);
  const int in_float = std::max(total - epochs_of(settings, "prune", settings.prune_epochs) -
                                    epochs_of(settings, "quantize", settings.qat_epochs),
                                narrows ? 2 : 1);
  if (narrows) settings.channels_epochs = std::clamp(share_of(in_float, wide_share), 1, in_float - 1);
  settings.distill_epochs = in_float - (narrows ? settings.channels_epochs : 0);
  if (has(settings, "quick") && total != before)
    settings.quick_epochs = share_of(settings.quick_epochs, static_cast<double>(total) / before);
  return settings;
}

PipelineSettings with_recipe(const PipelineSettings& settings, const std::optional<Recipe>& recipe) {
  return recipe ? with_recipe(settings, *recipe) : settings;
}

Recipe applicable(Recipe recipe, const graph::Graph& graph) {
  if (recipe.wider <= 1) return recipe;
  try {
    if (compress::widened(graph, recipe.wider) == graph) recipe.wider = 1;
  } catch (const Error&) {
    recipe.wider = 1;
  }
  return recipe;
}

double relative_wide_epoch(const PipelineSettings& settings, const graph::Graph& graph) {
  const Recipe recipe = applicable(recipe_of(settings), graph);
  if (recipe.wider <= 1) return 1;
  const engine::Work narrow = engine::work_of(graph, settings.precision);
  const engine::Work wide = engine::work_of(compress::widened(graph, recipe.wider), settings.precision);
  // Between what computes and what moves: small networks are bound by both.
  return std::sqrt(wide.macs / std::max(narrow.macs, 1.0) * wide.activations /
                   std::max(narrow.activations, 1.0));
}

double relative_epoch(const PipelineSettings& settings, const graph::Graph& graph) {
  const double longer = relative_wide_epoch(settings, graph) - 1;
  if (longer <= 0) return 1;
  const int all = recipe_epochs(settings) + epochs_of(settings, "quick", settings.quick_epochs);
  return 1 + longer * settings.channels_epochs / all;
}

std::vector<Recipe> recipes_to_try(const Recipe& control, const std::vector<std::string>& vary, size_t count,
                                   Rng rng) {
  std::vector<Recipe> recipes;
  const auto try_one = [&](const Recipe& recipe) {
    if (recipes.size() < count && std::ranges::find(recipes, recipe) == recipes.end())
      recipes.push_back(recipe);
  };
  const auto varies = [&](std::string_view stage) { return std::ranges::find(vary, stage) != vary.end(); };
  const auto change = [&](std::string_view stage, auto field, auto value) {
    if (!varies(stage)) return;
    Recipe recipe = control;
    recipe.*field = value;
    try_one(recipe);
  };
  const float less = control.alpha / 2;
  const float more = (1 + control.alpha) / 2;
  constexpr double kMuchTraining = 0.15;
  constexpr double kMostTraining = 0.5;
  try_one(control);
  change("quantize", &Recipe::qat, std::clamp(2 * control.qat, kMuchTraining, kMostTraining));
  change("channels", &Recipe::wider, control.wider > 1 ? 1 : 1.25);
  change("distill", &Recipe::alpha, less);
  change("prune", &Recipe::sparsity, control.sparsity > 0 ? 0 : 0.5);
  change("distill", &Recipe::alpha, more);
  change("quantize", &Recipe::qat, 0.0);
  change("distill", &Recipe::alpha, 1.0F);
  // Of few that vary there are few combinations.
  for (size_t tries = 0; recipes.size() < count && tries < 100 * count; ++tries) {
    Recipe recipe = control;
    if (varies("distill")) recipe.alpha = pick(rng, std::array<float, 3>{control.alpha, less, more});
    if (varies("channels")) recipe.wider = pick(rng, std::array<double, 4>{1, 1.15, 1.25, 1.5});
    if (varies("prune")) recipe.sparsity = pick(rng, std::array<double, 4>{0, 0.3, 0.5, 0.7});
    if (varies("quantize")) recipe.qat = pick(rng, std::array<double, 4>{0, control.qat, 0.1, 0.2});
    try_one(recipe);
  }
  return recipes;
}

}  // namespace retort::search
