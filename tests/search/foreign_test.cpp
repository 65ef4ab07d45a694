// What a worker reads of a study whose database somebody else may write to: what is no work of ours is refused, before memory is
// taken for it.
#include <sys/resource.h>

#include <climits>
#include <functional>

#include "base/file.h"
#include "base/json.h"
#include "base/memory.h"
#include "engine/checkpoint.h"
#include "graph/micro.h"
#include "graph/notebook.h"
#include "graph/quantized_form.h"
#include "search/candidates.h"
#include "search/explore_phase.h"
#include "search/memory_budget.h"
#include "search/proposals.h"
#include "search/shared_work.h"
#include "search/stage_training.h"
#include "search/trial_record.h"
#include "search/worker.h"
#include "search_fixture.h"

namespace retort::search {
namespace {

namespace fs = std::filesystem;

class Foreign : public testing::Test {
 protected:
  [[nodiscard]] Context context() {
    return {.dataset = dataset, .split = split, .settings = settings.pipeline, .progress = listener};
  }
  [[nodiscard]] Candidate candidate() const {
    return make_candidate("student", graph::graph_from_config("1,1,8,0", {8, 8, 1}, 3), Rng(3),
                          folder.path() / "student");
  }
  [[nodiscard]] StoredProposal proposal() const {
    return propose(settings, dataset, silent_progress()).front();
  }
  // With its network in place of this one.
  [[nodiscard]] TrialResult result_of(const graph::Graph& network) {
    StoredProposal stored = proposal();
    stored.proposal.graph = network;
    return run_candidate(stored, candidate_run(stored, 0, 1, {}), folder.path(), context());
  }

  data::Dataset dataset = synthetic();
  data::Split split = data::stratified_split(dataset, {});
  SearchSettings settings = three_structures(1);
  Listener listener;
  TemporaryFolder folder;
};

TEST_F(Foreign, APipelineThatNoSearchWouldHaveIsRefused) {
  const auto storage = study::make_memory_storage(objectives());
  publish(*storage, {.pipeline = settings.pipeline, .planned = 3});
  const Json sound = Json::parse(*storage->document("work"));
  const auto refusal = [&](const char* place, const Json& value) {
    Json work = sound;
    work.at(Json::json_pointer(place)) = value;
    storage->put_document("work", work.dump());
    return thrown_by([&] { static_cast<void>(shared_work(*storage)); }).sentence;
  };
  EXPECT_EQ(refusal("/pipeline/batch_size", INT_MAX),
            "the batch size is 2147483647, but must be from 1 to 65536");
  EXPECT_NE(refusal("/pipeline/stages/0", "../../elsewhere").find("unknown stage '../../elsewhere'"),
            std::string::npos);
  EXPECT_NE(refusal("/pipeline/wider", 1e300).find("the width of the network"), std::string::npos);
  EXPECT_NE(refusal("/pipeline/qat_epochs", -1).find("quantisation-aware training is -1"), std::string::npos);
  for (const auto& [place, value] : {std::pair<const char*, Json>{"/pipeline", Json::array()},
                                     {"/planned", "three"},
                                     {"/teacher", Json::object({{"logits.npy", 3}})}})
    EXPECT_TRUE(refusal(place, value).starts_with("the study's 'work' is damaged: ")) << place;
  // A timed plan has none for a stage that is not there.
  EXPECT_EQ(refusal("/pipeline/channels_epochs", 0), "");
}

TEST_F(Foreign, DamagedDocumentsAreNamed) {
  const study::Place place{.url = "sqlite:" + (folder.path() / "shared.db").string()};
  const auto storage = study::open_storage(place, objectives());
  const auto refusal = [&] {
    return thrown_by([&] {
             run_worker(
                 dataset,
                 {.storage = place, .folder = folder.path() / "worker", .workers = 1, .patience_seconds = 0});
           })
        .sentence;
  };
  for (const char* damaged : {"{", "[]", R"({"settings": 3, "data": {"spec": "a", "content_hash": "b"}})"}) {
    storage->put_document(kDescriptionKey, damaged);
    EXPECT_TRUE(refusal().starts_with("the study's 'description' is damaged: ")) << refusal();
  }
  EXPECT_TRUE(thrown_by([&] {
                static_cast<void>(stored_split(Json::object(), dataset));
              }).sentence.starts_with("the study's 'split' is damaged: "));
  EXPECT_TRUE(thrown_by([] {
                static_cast<void>(proposal_of({.number = 3, .proposal = "{}"}));
              }).sentence.starts_with("the study's proposal of trial 3 is damaged: "));
  const study::TrialRecord record{.stages = {{"files", R"({"model.tflite": 3})"}}};
  EXPECT_TRUE(thrown_by([&] {
                get_files(*storage, record, folder.path(), "taken");
              }).sentence.starts_with("the study's list of files is damaged: "));
}

TEST_F(Foreign, EpochsThatNoStageHasAreRefused) {
  StoredProposal stored = proposal();
  for (const int epochs : {-1, 0, INT_MAX}) {
    stored.confirms = {.trial = 0, .seed = 2, .epochs = {{"distill", epochs}}};
    const std::string text = to_stored(stored).dump();
    EXPECT_NE(thrown_by([&] {
                static_cast<void>(proposal_of({.proposal = text}));
              }).sentence.find("the stored epochs of 'distill' are"),
              std::string::npos)
        << epochs;
  }
}

TEST_F(Foreign, ANetworkThatIsNotTheDatasFailsAlone) {
  const TrialResult larger = result_of(graph::graph_from_config("1,1,8,0", {9, 9, 1}, 3));
  EXPECT_EQ(larger.outcome, Outcome::Failed);
  EXPECT_EQ(larger.reason,
            "the stored network takes 9×9×1 and tells 3 classes apart, the data's images are 8×8×1 of 3");
  const TrialResult fewer = result_of(graph::graph_from_config("1,1,8,0", {8, 8, 1}, 2));
  EXPECT_EQ(fewer.outcome, Outcome::Failed);
  EXPECT_NE(fewer.reason.find("tells 2 classes apart"), std::string::npos) << fewer.reason;
}

// Half a gigabyte of weights.
TEST_F(Foreign, ALargeNetworkIsRefusedBeforeItsWeightsAreDrawn) {
  constexpr int64_t kMegabyte = int64_t{1} << 20U;
  const auto peak = [] {
    rusage usage{};
    getrusage(RUSAGE_SELF, &usage);
    return int64_t{usage.ru_maxrss} << 10U;
  };
  graph::Graph large({8, 8, 1, false});
  large.add(graph::Flatten{});
  large.add(graph::Dense{.units = 16'384});
  large.add(graph::Dense{.units = 8'000});
  large.add(graph::Dense{.units = 3});
  StoredProposal stored = proposal();
  stored.proposal.graph = large;
  MemoryBudget memory(resident_memory() + 250 * kMegabyte);
  Context limited = context();
  limited.memory = &memory;
  const int64_t before = peak();
  const TrialResult result = run_candidate(stored, candidate_run(stored, 0, 1, {}), folder.path(), limited);
  EXPECT_EQ(result.outcome, Outcome::Failed);
  EXPECT_TRUE(result.reason.starts_with("training it takes more than ")) << result.reason;
  EXPECT_LT(peak() - before, 250 * kMegabyte);
}

TEST_F(Foreign, StagesOfAnotherNetworkBeginAnew) {
  Candidate begun = candidate();
  begun.stages = {{.name = "distill", .epochs = 1, .trained = 1}};
  begun.epochs = {{"distill", 1}};
  fs::create_directories(begun.folder);
  const auto restored = [&](const graph::Graph& left) {
    save_stages(begun);
    engine::save_model(begun.folder / (begun.stages.back().name + ".retort"),
                       {left, graph::initialize(left, Rng(4)), {}});
    Candidate again = candidate();
    listener.said.clear();
    restore(again, context());
    EXPECT_EQ(again.stages.empty(), again.graph == candidate().graph && !listener.said.empty());
    return !again.stages.empty();
  };
  EXPECT_TRUE(restored(candidate().graph));
  EXPECT_TRUE(restored(graph::quantized_form(candidate().graph)));
  for (const auto& [config, input] :
       {std::pair{"1,1,16,0", graph::Shape{8, 8, 1}}, {"1,1,8,0", graph::Shape{9, 9, 1}}}) {
    EXPECT_FALSE(restored(graph::graph_from_config(config, input, 3)));
    EXPECT_NE(listener.said.find("begins anew: what 'distill' left is another network"), std::string::npos)
        << listener.said;
  }
  begun.epochs = {{"distill", -3}};
  EXPECT_FALSE(restored(candidate().graph));
  begun.epochs = {};
  begun.stages.back().name = "../elsewhere";
  EXPECT_FALSE(restored(candidate().graph)) << "a file that is none of the candidate's";
}

TEST_F(Foreign, ABestEpochOfAnotherNetworkBeginsTheStageAnew) {
  settings.pipeline.stages = {"quantize", "export"};
  settings.pipeline.qat_epochs = 2;
  Context cut = context();
  cut.epoch_kept = [] { throw Error(ErrorCode::Interrupted, "cut"); };
  Candidate first = candidate();
  EXPECT_EQ(thrown_by([&] { run_stages(first, cut); }).code, ErrorCode::Interrupted);
  const graph::Graph other = graph::graph_from_config("1,1,16,0", {8, 8, 1}, 3);
  ASSERT_TRUE(fs::exists(first.folder / "quantize.best"));
  engine::save_model(first.folder / "quantize.best", {other, graph::initialize(other, Rng(4)), {}});
  Candidate again = candidate();
  run_stages(again, context());
  EXPECT_NE(listener.said.find("quantize, begins anew: "), std::string::npos) << listener.said;
  EXPECT_NE(listener.said.find("belongs to another network"), std::string::npos) << listener.said;
  EXPECT_TRUE(again.exported.has_value());
}

TEST_F(Foreign, ACheckpointOfOtherTrainingBeginsTheStageAnew) {
  settings.pipeline.stages = {"distill", "export"};
  settings.pipeline.distill_epochs = 2;
  const auto said_after = [&](const std::function<void(engine::Checkpoint&)>& change) {
    Context cut = context();
    cut.epoch_kept = [] { throw Error(ErrorCode::Interrupted, "cut"); };
    Candidate first = candidate();
    EXPECT_EQ(thrown_by([&] { run_stages(first, cut); }).code, ErrorCode::Interrupted);
    const fs::path path = first.folder / "distill.checkpoint";
    engine::Checkpoint checkpoint = engine::load_checkpoint(path, first.graph);
    change(checkpoint);
    engine::save_checkpoint(path, first.graph, checkpoint);
    listener.said.clear();
    Candidate again = candidate();
    run_stages(again, context());
    EXPECT_TRUE(again.exported.has_value());
    fs::remove_all(first.folder);
    return listener.said;
  };
  EXPECT_EQ(said_after([](engine::Checkpoint&) {}).find("begins anew"), std::string::npos);
  for (const auto& change : std::vector<std::function<void(engine::Checkpoint&)>>{
           [](engine::Checkpoint& checkpoint) { ++checkpoint.step; },
           [](engine::Checkpoint& checkpoint) { checkpoint.optimizer.second = {}; }}) {
    const std::string said = said_after(change);
    EXPECT_NE(said.find("distill, begins anew: "), std::string::npos) << said;
    EXPECT_NE(said.find("belongs to other training"), std::string::npos) << said;
  }
}

TEST_F(Foreign, AChildIsWhatItsTextSays) {
  const auto network = [](const char* text) {
    return graph::build(graph::micro_network(text), {8, 8, 1}, 3);
  };
  const auto refusal = [&](const char* child_text, const char* child, const char* parent) {
    const fs::path file = folder.path() / "parent.retort";
    engine::save_model(file, {network(parent), graph::initialize(network(parent), Rng(1)), {}});
    StoredProposal stored;
    stored.proposal = {.config = child_text, .graph = network(child), .hash = "h", .parent = 0};
    return thrown_by(
               [&] { static_cast<void>(inherited_weights(stored, "conv 4, gap", file, settings, dataset)); })
        .sentence;
  };
  EXPECT_EQ(refusal("conv 6, gap", "conv 6, gap", "conv 4, gap"), "");
  const std::string said = "the study is damaged: a network is not what its text ";
  EXPECT_TRUE(refusal("conv 6, gap", "conv 6, conv 6, conv 6, gap", "conv 4, gap").starts_with(said));
  EXPECT_TRUE(refusal("conv 6, conv 6, gap", "conv 6, gap", "conv 4, gap").starts_with(said));
  EXPECT_TRUE(refusal("conv 6, gap", "conv 6, gap", "conv 5, gap").starts_with(said));
}

}  // namespace
}  // namespace retort::search
