// The rung of recipes in whole searches.
#include "search/recipe_heats.h"

#include <gtest/gtest.h>

#include <algorithm>
#include <cmath>
#include <set>

#include "base/file.h"
#include "base/json.h"
#include "engine/checkpoint.h"
#include "essence.h"
#include "search_fixture.h"

namespace retort::search {
namespace {

constexpr size_t kExplored = 4;
constexpr size_t kHeats = 2;
constexpr size_t kRecipes = 9;

SearchSettings tiny(const SearchSettings& taught) {
  SearchSettings settings = preset("micro");
  settings.teacher = taught.teacher;
  settings.seconds.reset();
  settings.trials = kExplored;
  settings.exploration.epochs = 1;
  settings.exploration.first = 4;
  settings.exploration.heats = 2;
  settings.exploration.heat_epochs = 1;
  settings.exploration.rungs = 1;
  settings.exploration.recipes = kRecipes;
  settings.exploration.candidates = 2;
  settings.limits.macs = 40'000;
  settings.pipeline.batch_size = 16;
  settings.pipeline.distill_epochs = 5;
  settings.pipeline.qat_epochs = 1;
  settings.pipeline.pruning.update_every = 2;
  settings.finalist_seeds = 2;
  return settings;
}

class RecipeHeats : public SearchTest {
 protected:
  RecipeHeats() { settings = tiny(settings); }
  StudyResult run_until(const std::filesystem::path& folder, size_t trials) {
    std::stop_source stop;
    return run_search(
        settings, dataset,
        {.folder = folder, .workers = 1, .stop = stop.get_token(), .changed = [&](const StudyResult& study) {
           if (study.trials.size() >= trials) stop.request_stop();
         }});
  }
  static std::vector<TrialResult> with_effort(const StudyResult& study, Effort effort) {
    std::vector<TrialResult> trials;
    for (const TrialResult& trial : study.trials)
      if (trial.effort == effort) trials.push_back(trial);
    return trials;
  }
  static Json decision(const StudyResult& study) { return Json::parse(study.plan_json).at("recipe"); }
};

TEST_F(RecipeHeats, OneStructureIsTrainedByEachRecipeWithEqualEpochs) {
  const TemporaryFolder folder;
  const StudyResult study = run(folder.path(), 2);
  const std::vector<TrialResult> rung = with_effort(study, Effort::Recipe);
  ASSERT_EQ(rung.size(), kRecipes);
  const Recipe control = recipe_of(settings.pipeline);
  EXPECT_EQ(rung.front().recipe, control);
  for (const TrialResult& trial : rung) {
    EXPECT_EQ(trial.outcome, Outcome::Complete) << trial.reason;
    ASSERT_TRUE(trial.recipe);
    EXPECT_EQ(trial.hash, rung.front().hash);
    int epochs = 0;
    std::set<std::string> stages;
    for (const StageResult& stage : trial.stages) {
      epochs += stage.trained;
      stages.insert(stage.name);
    }
    // Twice a heat's two epochs would be 2: at least one a stage.
    EXPECT_EQ(epochs, std::max<int>(2, static_cast<int>(trial.stages.size()))) << to_string(*trial.recipe);
    EXPECT_EQ(stages.contains("channels"), trial.recipe->wider > 1);
    EXPECT_EQ(stages.contains("prune"), trial.recipe->sparsity > 0);
    EXPECT_EQ(stages.contains("quantize"), trial.recipe->qat > 0);
    if (trial.recipe->sparsity > 0) {
      EXPECT_GT(trial.sparsity, trial.recipe->sparsity - 0.1);
    }
    // Channels are gone from what is stored and exported: all have the structure's size.
    EXPECT_EQ(trial.parameters, rung.front().parameters);
    EXPECT_EQ(trial.macs, rung.front().macs);
  }
  // What was decided is what the rule says, and what the candidates and the finalist's other seed have.
  const std::optional<Recipe> better =
      better_recipe(rung, control, static_cast<size_t>(study.validation_images));
  EXPECT_EQ(decision(study).at("recipe"), better ? Json(*better) : Json());
  for (const TrialResult& trial : with_effort(study, Effort::Full)) EXPECT_EQ(trial.recipe, better);
}

// Whatever the rung finds, another recipe than the settings' own reaches candidates and finalists.
TEST_F(RecipeHeats, CandidatesAndOtherSeedsAreTrainedByWhatWasDecided) {
  const TemporaryFolder folder;
  EXPECT_EQ(thrown_by([&] { run_until(folder.path(), kExplored + kHeats + kRecipes - 1); }).code,
            ErrorCode::Interrupted);
  const Recipe decided{.alpha = 0.5F, .sparsity = 0.4, .qat = 0, .wider = 1.5};
  {
    StudyFolder study(folder.path());
    EXPECT_FALSE(study.document(kRecipeKey));
    study.put_document(kRecipeKey, {{"recipe", decided}, {"control", recipe_of(settings.pipeline)}});
  }
  const StudyResult study = run(folder.path());
  const std::vector<TrialResult> full = with_effort(study, Effort::Full);
  ASSERT_FALSE(full.empty());
  for (const TrialResult& trial : full) {
    EXPECT_EQ(trial.outcome, Outcome::Complete) << trial.reason;
    EXPECT_EQ(trial.recipe, decided);
    EXPECT_EQ(epochs_text(trial), "channels 4, distill 1, prune 1");
    const engine::Model model =
        engine::load_model(folder.path() / "trials" / std::to_string(trial.number) / "weights.retort");
    EXPECT_EQ(graph::structural_hash(model.graph), trial.hash) << "channels were removed";
  }
  ASSERT_GE(study.finalists.size(), 1U);
  ASSERT_EQ(study.finalists[0].runs.size(), 2U);
  const Json other =
      Json::parse(read_text(folder.path() / "trials" / std::to_string(study.finalists[0].trial) /
                            ("seed-" + std::to_string(settings.seed + 1)) / "result.json"));
  EXPECT_EQ(other.get<TrialResult>().recipe, decided);
  EXPECT_EQ(epochs_text(other.get<TrialResult>()), "channels 4, distill 1, prune 1");
}

TEST_F(RecipeHeats, OneAndTwoWorkersDecideTheSame) {
  const TemporaryFolder one;
  const TemporaryFolder two;
  const StudyResult by_one = run(one.path(), 1);
  const StudyResult by_two = run(two.path(), 2);
  EXPECT_EQ(essence(by_one, one.path()), essence(by_two, two.path()));
  EXPECT_EQ(decision(by_one), decision(by_two));
}

TEST_F(RecipeHeats, WhereverTheRungWasCutTheResultIsTheSame) {
  const TemporaryFolder whole;
  const Json expected = essence(run(whole.path()), whole.path());
  constexpr size_t first = kExplored + kHeats;
  for (const size_t after : {first, first + 1, first + kRecipes / 2, first + kRecipes}) {
    const TemporaryFolder folder;
    EXPECT_EQ(thrown_by([&] { run_until(folder.path(), after); }).code, ErrorCode::Interrupted) << after;
    EXPECT_EQ(essence(run(folder.path(), 2), folder.path()), expected) << after;
  }
}

TEST_F(RecipeHeats, WithoutThemOrWithoutATeacherThereIsLessToCompare) {
  settings.exploration.recipes = 0;
  const TemporaryFolder none;
  const StudyResult without = run(none.path());
  EXPECT_TRUE(with_effort(without, Effort::Recipe).empty());
  EXPECT_FALSE(Json::parse(without.plan_json).contains("recipe"));

  settings.exploration.recipes = 30;
  settings.exploration.vary = {"distill"};
  settings.teacher = {.kind = TeacherKind::None};
  const TemporaryFolder untaught;
  EXPECT_TRUE(with_effort(run(untaught.path()), Effort::Recipe).empty()) << "nobody to listen to";

  settings.exploration.vary = {"distill", "quantize"};
  const TemporaryFolder some;
  const std::vector<TrialResult> rung = with_effort(run(some.path(), 2), Effort::Recipe);
  EXPECT_GT(rung.size(), 2U);
  for (const TrialResult& trial : rung) {
    EXPECT_EQ(trial.recipe->alpha, settings.pipeline.alpha);
    EXPECT_EQ(trial.recipe->wider, 1);
  }
}

#ifndef RETORT_SANITIZED  // which has no room for them in a few seconds
// By the processor's time, which other programs take nothing from.
TEST_F(RecipeHeats, WithinATimeSomeAreCompared) {
  settings.trials.reset();
  settings.seconds = 12;
  settings.clock = WorkTime::Cpu;
  settings.pipeline.distill_epochs = 2;  // room enough on a slow machine that does other things too
  settings.exploration.heat_epochs = 8;
  settings.exploration.share = 0.7;
  Listener listener;
  const TemporaryFolder folder;
  const StudyResult study =
      run_search(settings, dataset, {.folder = folder.path(), .workers = 2, .progress = listener});
  const std::vector<TrialResult> rung = with_effort(study, Effort::Recipe);
  ASSERT_GE(rung.size(), 3U) << listener.said;
  EXPECT_EQ(rung.front().recipe, recipe_of(settings.pipeline));
  for (const TrialResult& trial : rung) {
    EXPECT_EQ(trial.outcome, Outcome::Complete) << trial.reason;
    EXPECT_EQ(trial.hash, rung.front().hash);
    int epochs = 0;
    for (const StageResult& stage : trial.stages) epochs += stage.trained;
    EXPECT_GE(epochs, recipe_epochs(settings.pipeline)) << to_string(*trial.recipe);
  }
  EXPECT_TRUE(decision(study).contains("control"));
  EXPECT_GE(study.best, 0);
}
#endif

TEST_F(RecipeHeats, ATimeTooShortToCompareThemIsSaid) {
  settings.trials.reset();
  settings.seconds = 3;
  settings.exploration.heat_epochs = kMostEpochs >> 2;
  settings.pipeline.distill_epochs = kMostEpochs;
  dataset = synthetic(12000, 60, 16);
  settings.teacher = {.kind = TeacherKind::None};
  settings.exploration.vary = {"prune"};
  Listener listener;
  const TemporaryFolder folder;
  const StudyResult study =
      run_search(settings, dataset, {.folder = folder.path(), .workers = 1, .progress = listener});
  EXPECT_TRUE(with_effort(study, Effort::Recipe).empty());
  EXPECT_NE(listener.said.find("too short to compare recipes"), std::string::npos) << listener.said;
  EXPECT_GE(study.best, 0);
}

TEST(BetterRecipe, ReplacesTheControlByMoreThanAStandardError) {
  const Recipe control{.alpha = 0.3F, .qat = 0.04};
  const Recipe other{.alpha = 0.15F, .qat = 0.04};
  const auto trial = [](const Recipe& recipe, double accuracy) {
    TrialResult result;
    result.effort = Effort::Recipe;
    result.recipe = recipe;
    result.accuracy_int8 = accuracy;
    return result;
  };
  constexpr size_t kImages = 10'000;
  const double error = std::sqrt(2 * 0.8 * 0.2 / kImages);
  std::vector<TrialResult> trials = {trial(control, 0.8), trial(other, 0.8 + 0.9 * error)};
  EXPECT_EQ(better_recipe(trials, control, kImages), std::nullopt);
  trials[1].accuracy_int8 = 0.8 + 1.1 * error;
  EXPECT_EQ(better_recipe(trials, control, kImages), other);
  EXPECT_EQ(better_recipe(trials, control, kImages / 4), std::nullopt) << "fewer images tell less";
  trials[1].outcome = Outcome::Failed;
  EXPECT_EQ(better_recipe(trials, control, kImages), std::nullopt);
  trials[0].outcome = Outcome::Failed;
  trials[1].outcome = Outcome::Complete;
  EXPECT_EQ(better_recipe(trials, control, kImages), other) << "the control came to nothing";
  EXPECT_EQ(better_recipe({}, control, kImages), std::nullopt);
}

}  // namespace
}  // namespace retort::search
