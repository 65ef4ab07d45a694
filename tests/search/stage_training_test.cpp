// What a stage keeps in its candidate's folder while it is trained.
#include <gtest/gtest.h>

#include <filesystem>

#include "data/dataset.h"
#include "graph/notebook.h"
#include "search/pipeline.h"
#include "synthetic.h"

namespace retort::search {
namespace {

// An epoch here takes less than a disk does.
TEST(StageTraining, NotEveryShortEpochIsKept) {
  const data::Dataset dataset = synthetic();
  const data::Split split = data::stratified_split(dataset, {});
  PipelineSettings settings;
  settings.stages = {"quantize", "export"};
  settings.qat_epochs = 100;
  settings.batch_size = 16;
  const TemporaryFolder folder;
  Candidate student =
      make_candidate("student", graph::graph_from_config("1,1,8,0", {8, 8, 1}, 3), Rng(3), folder.path());
  int finished = 0;
  int kept = 0;
  run_stages(student, {.dataset = dataset,
                       .split = split,
                       .settings = settings,
                       .epoch_finished = [&](const Candidate&, const engine::History&) { ++finished; },
                       .epoch_kept =
                           [&] {
                             ++kept;
                             EXPECT_TRUE(std::filesystem::exists(folder.path() / "quantize.checkpoint"));
                             EXPECT_TRUE(std::filesystem::exists(folder.path() / "quantize.best"));
                             EXPECT_TRUE(kept > 1 || finished == 0) << "not the first";
                           }});
  EXPECT_EQ(finished, settings.qat_epochs);
  EXPECT_GE(kept, 1);
  EXPECT_LT(kept, finished);
}

}  // namespace
}  // namespace retort::search
