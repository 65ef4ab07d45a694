#include "search/recipe_heats.h"

#include <algorithm>
#include <cmath>
#include <mutex>
#include <utility>

#include "base/json.h"
#include "base/units.h"
#include "search/explored.h"
#include "search/heats.h"
#include "search/plan.h"
#include "search/shared_work.h"
#include "search/timed_plan.h"
#include "search/trial_loop.h"

namespace retort::search {
namespace {

// Of the time of the heats.
constexpr double kShare = 0.4;
// Fewer epochs of each say nothing of what a whole run would come to.
constexpr int kFewestEpochs = 8;
constexpr size_t kFewestRecipes = 3;

// Twice those of the last heats, as if it were one rung more; no more than a candidate's.
int most_epochs(const Session& session) {
  const Exploration& exploration = session.settings.exploration;
  return std::min(exploration.heat_epochs << exploration.rungs, recipe_epochs(session.pipeline));
}

int fewest_epochs(const Session& session) {
  return std::min(kFewestEpochs, most_epochs(session));
}

// Of a structure by a recipe, within so many seconds.
int epochs_of(const Session& session, const StoredProposal& structure, const Recipe& recipe, double seconds) {
  const PipelineSettings pipeline = with_recipe(session.pipeline, recipe);
  // With the quick evaluation's, which a recipe's epochs do not count.
  const double all = static_cast<double>(scaled_epochs(pipeline, 1).total()) / recipe_epochs(pipeline);
  const double epoch = all * structure.epoch_seconds * relative_epoch(pipeline, structure.proposal.graph);
  const double epochs =
      std::floor(seconds / candidate_seconds(std::max(epoch, 1e-9), {.distill = 1, .prune = 0, .qat = 0}));
  return static_cast<int>(std::min(epochs, static_cast<double>(most_epochs(session))));
}

// The most of them that the time has room for, with equal seconds each; empty where even the fewest are too many.
struct Equal {
  size_t count = 0;
  double seconds = 0;  // of each
};
Equal within(const Session& session, const StoredProposal& structure, const std::vector<Recipe>& recipes,
             double seconds) {
  for (size_t count = recipes.size(); count >= std::min(kFewestRecipes, recipes.size()); --count) {
    const double each = seconds / rounds(static_cast<int>(count), session.workers);
    const auto has_enough = [&](const Recipe& recipe) {
      return epochs_of(session, structure, recipe, each) >= fewest_epochs(session);
    };
    if (std::ranges::all_of(recipes.begin(), recipes.begin() + static_cast<std::ptrdiff_t>(count),
                            has_enough))
      return {count, each};
  }
  return {};
}

std::vector<Recipe> recipes_for(const Session& session, const graph::Graph& graph) {
  const SearchSettings& settings = session.settings;
  std::vector<std::string> vary = settings.exploration.vary;
  if (!session.teacher.logits) std::erase(vary, "distill");
  // Every recipe's widths: the widest tells.
  if (applicable({.wider = 1.5}, graph).wider == 1) std::erase(vary, "channels");
  return recipes_to_try(recipe_of(session.pipeline), vary, static_cast<size_t>(settings.exploration.recipes),
                        Rng(settings.seed).fork("recipes"));
}

void say_too_short(const Session& session) {
  session.options.progress.message(
      fmt::format("The time is too short to compare recipes ({} each at least): the settings' own it is.",
                  format_counted(fewest_epochs(session), "epoch")));
}

// Adds the rung's trials; false when there is nothing to compare.
bool add_rung(Session& session, double seconds) {
  const int boundary = session.folder.storage().trial_count();
  const std::vector<StoredProposal> best = contenders(session).best;
  if (best.empty()) return false;
  const StoredProposal& structure = best.front();
  std::vector<Recipe> recipes = recipes_for(session, structure.proposal.graph);
  if (recipes.size() < 2) return false;
  Equal equal{.count = recipes.size()};
  if (session.settings.seconds) {
    equal = within(session, structure, recipes, std::min(seconds, plannable_seconds(session)));
    if (equal.count == 0) say_too_short(session);
  }
  if (equal.count == 0) return false;
  recipes.resize(equal.count);
  std::vector<StoredProposal> rung;
  for (const Recipe& recipe : recipes) {
    const int epochs = session.settings.seconds ? epochs_of(session, structure, recipe, equal.seconds)
                                                : most_epochs(session);
    StoredProposal proposal = structure;
    proposal.effort = Effort::Recipe;
    proposal.recipe = recipe;
    proposal.epochs = by_stage(scaled_epochs(with_recipe(session.pipeline, recipe, epochs), 1));
    rung.push_back(std::move(proposal));
  }
  session.options.progress.message(
      fmt::format("Recipes: {} of them for {}.", rung.size(), structure.proposal.config));
  publish_work(session, session.pipeline);
  session.add_trials(Trials::Search, boundary, rung);
  return true;
}

void run_rung(Session& session) {
  const auto done = [&] { return count_trials(session, Effort::Recipe); };
  const auto total = static_cast<double>(done() + session.unfinished(Effort::Recipe).size());
  const auto tell = [&] {
    const std::lock_guard lock(session.mutex);
    session.options.progress.update("recipes", static_cast<double>(done()), total, {});
  };
  tell();
  TrialLoop loop{.pipeline = session.pipeline};
  loop.finished = [&](const StoredProposal&, const TrialResult& result) {
    session.finish(result, line(result));
    tell();
  };
  run_trials(session, loop);
}

}  // namespace

double seconds_for_recipes(Session& session, double heat_seconds) {
  if (!compares_recipes(session.settings) || session.folder.document(kRecipeKey)) return 0;
  const std::vector<TrialResult> explored = trials_of(session, Effort::Explore);
  const std::vector<int> ranked = rank_trials(explored, 1);
  if (!session.settings.seconds || ranked.empty()) return 0;
  // By an explored one: the heats, which decide whose rung it is, want their time first.
  const StoredProposal structure = again(session, {ranked.front()}, Effort::Recipe).front();
  const size_t count = recipes_for(session, structure.proposal.graph).size();
  if (count < 2) return 0;
  const double seconds = kShare * heat_seconds;
  const double each = seconds / rounds(static_cast<int>(std::min(count, kFewestRecipes)), session.workers);
  if (candidate_seconds(structure.epoch_seconds, {.distill = fewest_epochs(session), .prune = 0, .qat = 0}) <=
      each)
    return seconds;
  say_too_short(session);
  return 0;
}

void run_recipe_heats(Session& session, double seconds) {
  if (!compares_recipes(session.settings) || session.folder.document(kRecipeKey)) return;
  if (session.settings.seconds && seconds <= 0 && session.added(Effort::Recipe).empty()) {
    session.folder.put_document(kRecipeKey, Json::object());
    return;
  }
  if (!session.added(Effort::Recipe).empty())
    publish_work(session, session.pipeline);
  else if (!add_rung(session, seconds)) {
    session.folder.put_document(kRecipeKey, Json::object());
    return;
  }
  run_rung(session);
  const Recipe control = recipe_of(session.pipeline);
  const std::optional<Recipe> better =
      better_recipe(trials_of(session, Effort::Recipe), control, session.split.validation.size());
  session.folder.put_document(kRecipeKey,
                              {{"recipe", better ? Json(*better) : Json()}, {"control", control}});
  session.options.progress.message(
      better ? fmt::format("Candidates are trained by the best recipe: {}.", to_string(*better))
             : fmt::format("No recipe is better than the settings' own by more than the standard error: {}.",
                           to_string(control)));
}

void set_recipe(const Session& session, std::vector<StoredProposal>& candidates) {
  const Json decided = session.folder.document(kRecipeKey).value_or(Json::object());
  if (!decided.contains("recipe") || decided.at("recipe").is_null()) return;
  const auto recipe = decided.at("recipe").get<Recipe>();
  for (StoredProposal& candidate : candidates) {
    const Recipe followed = applicable(recipe, candidate.proposal.graph);
    if (followed != recipe_of(session.pipeline)) candidate.recipe = followed;
  }
}

std::optional<Recipe> better_recipe(std::span<const TrialResult> trials, const Recipe& control,
                                    size_t images) {
  const TrialResult* best = nullptr;
  const TrialResult* own = nullptr;
  for (const TrialResult& trial : trials) {
    if (trial.outcome != Outcome::Complete || !trial.recipe) continue;
    if (best == nullptr || trial.accuracy_int8 > best->accuracy_int8) best = &trial;
    if (*trial.recipe == control) own = &trial;
  }
  if (best == nullptr || best == own) return std::nullopt;
  if (own == nullptr) return best->recipe;
  const auto variance = [](double accuracy) { return accuracy * (1 - accuracy); };
  const double error = std::sqrt((variance(best->accuracy_int8) + variance(own->accuracy_int8)) /
                                 static_cast<double>(std::max<size_t>(images, 1)));
  return best->accuracy_int8 - own->accuracy_int8 > error ? best->recipe : std::nullopt;
}

}  // namespace retort::search
