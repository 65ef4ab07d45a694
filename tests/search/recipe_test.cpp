#include "search/recipe.h"

#include <gtest/gtest.h>

#include <algorithm>
#include <set>

#include "base/json.h"
#include "search/study_folder.h"
#include "synthetic.h"

namespace retort::search {
namespace {

const Recipe kRecipe{.alpha = 0.15F, .sparsity = 0.5, .qat = 0.1, .wider = 1.25};

const PipelineSettings& micro() {
  static const PipelineSettings settings = preset("micro").pipeline;
  return settings;
}

TEST(Recipe, JsonKeepsItExactly) {
  EXPECT_EQ(parse_json(dump_json(Json(kRecipe))).get<Recipe>(), kRecipe);
  const Recipe control = recipe_of(micro());
  EXPECT_EQ(parse_json(dump_json(Json(control))).get<Recipe>(), control);
}

TEST(Recipe, WhatIsNoRecipeIsRefusedByItsField) {
  const auto refusal = [](const char* field, const Json& value) {
    Json stored = kRecipe;
    stored[field] = value;
    const Thrown thrown = thrown_by([&] { static_cast<void>(stored.get<Recipe>()); });
    EXPECT_EQ(thrown.code, ErrorCode::Failure);
    EXPECT_NE(thrown.sentence.find(std::string("a stored recipe's ") + field), std::string::npos)
        << field << " " << value << ": " << thrown.sentence;
  };
  for (const char* field : {"alpha", "sparsity", "qat", "wider"}) {
    for (const Json& value :
         {Json("0.5"), Json(), Json::array({1}), Json::object(), Json(true), Json(-1), Json(1e300), Json(5)})
      refusal(field, value);
    Json lacks = kRecipe;
    lacks.erase(field);
    EXPECT_NE(thrown_by([&] { static_cast<void>(lacks.get<Recipe>()); }).sentence.find(field),
              std::string::npos);
  }
  refusal("wider", 0.9);
  for (const Json& value : {Json(3), Json("recipe"), Json::array(), Json()})
    EXPECT_NE(thrown_by([&] { static_cast<void>(value.get<Recipe>()); }).sentence, "") << value;
}

TEST(Recipe, SaysInWordsWhatItDoes) {
  EXPECT_EQ(to_string(Recipe{.alpha = 0.3F, .sparsity = 0.5, .qat = 0, .wider = 1.25}),
            "alpha 0.3, 50% zeros, from 1.25x wider, no quantisation-aware training");
  EXPECT_EQ(to_string(Recipe{.alpha = 1, .qat = 0.15}), "no distillation, 15% quantisation-aware training");
}

TEST(Recipe, TheSettingsOwnChangesNothing) {
  for (PipelineSettings settings : {micro(), preset("quick").pipeline, preset("notebook").pipeline}) {
    EXPECT_EQ(Json(with_recipe(settings, recipe_of(settings))), Json(settings));
    settings.stages = {"channels", "distill", "export"};
    settings.wider = 1.4;
    EXPECT_EQ(Json(with_recipe(settings, recipe_of(settings))), Json(settings));
    EXPECT_EQ(Json(with_recipe(settings, std::nullopt)), Json(settings));
  }
}

TEST(Recipe, SaysStagesAmountsAndSharesOfTheEpochs) {
  const PipelineSettings settings = with_recipe(micro(), kRecipe);
  EXPECT_EQ(settings.stages,
            (std::vector<std::string>{"channels", "distill", "prune", "quantize", "export"}));
  EXPECT_EQ(settings.alpha, 0.15F);
  EXPECT_EQ(settings.prune_alpha, 0.15F);
  EXPECT_EQ(settings.pruning.initial_sparsity, 0);
  EXPECT_EQ(settings.pruning.final_sparsity, 0.5);
  EXPECT_EQ(settings.wider, 1.25);
  EXPECT_EQ(recipe_epochs(settings), recipe_epochs(micro()));
  EXPECT_EQ(settings.qat_epochs, 7);
  EXPECT_EQ(settings.prune_epochs, 15);
  EXPECT_EQ(settings.channels_epochs, 36) << "seven tenths of the 51 in float";
  EXPECT_NO_THROW(validate(settings));

  const PipelineSettings plain = with_recipe(micro(), Recipe{.alpha = 1});
  EXPECT_EQ(plain.stages, (std::vector<std::string>{"distill", "export"}));
  EXPECT_EQ(plain.distill_epochs, 73);
  // Stages that are there stay at their places.
  PipelineSettings reordered = preset("quick").pipeline;
  reordered.stages = {"prune", "quick", "distill", "quantize", "export"};
  EXPECT_EQ(with_recipe(reordered, kRecipe).stages,
            (std::vector<std::string>{"prune", "quick", "channels", "distill", "quantize", "export"}));
  EXPECT_EQ(thrown_by([&] {
              PipelineSettings without = micro();
              without.stages = {"quantize", "export"};
              with_recipe(without, kRecipe);
            }).code,
            ErrorCode::Usage);
}

TEST(Recipe, EpochsAreAsManyAsAskedForHoweverTheyAreShared) {
  Rng rng(1);
  for (int i = 0; i < 300; ++i) {
    const Recipe recipe{.alpha = rng.uniform(),
                        .sparsity = rng.below(2) == 0 ? 0 : 0.9 * rng.uniform(),
                        .qat = rng.below(2) == 0 ? 0 : 0.5 * rng.uniform(),
                        .wider = rng.below(2) == 0 ? 1 : 1 + rng.uniform()};
    const int epochs = 4 + static_cast<int>(rng.below(100));
    const PipelineSettings settings = with_recipe(micro(), recipe, epochs);
    EXPECT_EQ(recipe_epochs(settings), epochs) << to_string(recipe);
    EXPECT_EQ(recipe_of(settings).alpha, recipe.alpha);
    EXPECT_EQ(recipe_of(settings).sparsity, recipe.sparsity);
    EXPECT_EQ(recipe_of(settings).wider, recipe.wider);
    EXPECT_EQ(recipe_of(settings).qat > 0, recipe.qat > 0);
    EXPECT_NO_THROW(validate(settings)) << to_string(recipe);
  }
}

TEST(Recipe, TheFirstOfThoseToTryIsTheControlAndAllDiffer) {
  const Recipe control = recipe_of(micro());
  const std::vector<std::string> all = {"distill", "channels", "prune", "quantize"};
  const auto some = recipes_to_try(control, all, 12, Rng(1));
  ASSERT_EQ(some.size(), 12U);
  EXPECT_EQ(some.front(), control);
  for (size_t i = 0; i < some.size(); ++i)
    EXPECT_EQ(std::ranges::count(some, some[i]), 1) << to_string(some[i]);
  const auto changes = [&](const Recipe& recipe) {
    return (recipe.alpha != control.alpha ? 1 : 0) + (recipe.sparsity != control.sparsity ? 1 : 0) +
           (recipe.qat != control.qat ? 1 : 0) + (recipe.wider != control.wider ? 1 : 0);
  };
  for (size_t i = 1; i <= 7; ++i) EXPECT_EQ(changes(some[i]), 1) << to_string(some[i]);
  EXPECT_EQ(recipes_to_try(control, all, 12, Rng(1)), some);
  EXPECT_NE(recipes_to_try(control, all, 12, Rng(2)), some) << "the combinations are the seed's";
  EXPECT_EQ(recipes_to_try(control, all, 3, Rng(2)), std::vector(some.begin(), some.begin() + 3));
}

TEST(Recipe, WhatDoesNotVaryStays) {
  const Recipe control = recipe_of(micro());
  for (const Recipe& recipe : recipes_to_try(control, {"distill", "quantize"}, 30, Rng(1))) {
    EXPECT_EQ(recipe.sparsity, 0);
    EXPECT_EQ(recipe.wider, 1);
  }
  EXPECT_EQ(recipes_to_try(control, {}, 30, Rng(1)), std::vector{control});
}

TEST(Recipe, IsOnlyAsWideAsAStructureCanBe) {
  const graph::Graph structure = graph::graph_from_config("conv 8, gap", {8, 8, 1}, 3);
  EXPECT_EQ(applicable(kRecipe, structure), kRecipe);
  EXPECT_GT(relative_epoch(with_recipe(micro(), kRecipe), structure), 1);
  EXPECT_LT(relative_epoch(with_recipe(micro(), kRecipe), structure),
            relative_wide_epoch(with_recipe(micro(), kRecipe), structure));
  EXPECT_EQ(relative_epoch(micro(), structure), 1);
  graph::Graph dense({.channels = 4, .flat = true});
  dense.add(graph::Dense{.units = 3});
  EXPECT_EQ(applicable(kRecipe, dense).wider, 1);
  EXPECT_EQ(applicable(kRecipe, dense).sparsity, 0.5);
  EXPECT_EQ(relative_wide_epoch(with_recipe(micro(), kRecipe), dense), 1);
}

TEST(Recipe, TravelsWithAProposalAndAResult) {
  StoredProposal stored;
  stored.proposal.graph = graph::graph_from_config("conv 8, gap", {8, 8, 1}, 3);
  EXPECT_EQ(from_stored(to_stored(stored)).recipe, std::nullopt) << "as those of earlier studies";
  stored.recipe = kRecipe;
  Json text = to_stored(stored);
  EXPECT_EQ(from_stored(text).recipe, kRecipe);
  text["recipe"]["wider"] = 1e9;
  EXPECT_NE(thrown_by([&] { from_stored(text); }).sentence.find("wider"), std::string::npos);

  TrialResult trial;
  trial.outcome = Outcome::Failed;
  EXPECT_EQ(Json(trial).get<TrialResult>().recipe, std::nullopt);
  Json earlier = trial;
  earlier.erase("recipe");
  EXPECT_EQ(earlier.get<TrialResult>().recipe, std::nullopt);
  trial.recipe = kRecipe;
  EXPECT_EQ(Json(trial).get<TrialResult>().recipe, kRecipe);
}

}  // namespace
}  // namespace retort::search
