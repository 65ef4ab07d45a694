// Teachers of all kinds.
#include <gtest/gtest.h>

#include <cmath>

#include "base/file.h"
#include "base/json.h"
#include "base/parallel.h"
#include "compress/distillation.h"
#include "data/npy.h"
#include "engine/checkpoint.h"
#include "graph/notebook.h"
#include "search_fixture.h"
#include "synthetic.h"

namespace retort::search {
namespace {

namespace fs = std::filesystem;

TEST_F(SearchTest, LogitsThatDoNotSuitAreRefusedBeforeAnythingIsStored) {
  const TemporaryFolder folder;
  settings.pipeline.views.mirror = data::Mirror::Horizontal;
  const Thrown thrown = thrown_by([&] { run(folder.path()); });
  EXPECT_EQ(thrown.code, ErrorCode::Usage);
  EXPECT_NE(thrown.sentence.find("logits for 1 views of each image, and training with these --mirror"),
            std::string::npos)
      << thrown.sentence;
  // The folder is still free, and where no loss asks the teacher the logits will do.
  settings.pipeline.alpha = 1;
  settings.configs = {"1,1,8,0"};
  EXPECT_GE(run(folder.path()).best, 0);
}

TEST_F(SearchTest, AForeignTeacherIsKnownByItsContentAndMayGo) {
  const TemporaryFolder folder;
  settings.configs = {"1,1,8,0", "1,1,16,0"};
  // Stops when the first candidate is done.
  std::stop_source stop;
  const auto stops = [&](const StudyResult& study) {
    if (!study.trials.empty()) stop.request_stop();
  };
  const Thrown cut = thrown_by([&] {
    run_search(settings, dataset,
               {.folder = folder.path(), .workers = 1, .stop = stop.get_token(), .changed = stops});
  });
  EXPECT_EQ(cut.code, ErrorCode::Interrupted);
  EXPECT_NE(cut.sentence.find("the same command goes on from here"), std::string::npos) << cut.sentence;
  const fs::path moved = logits_folder.path() / "elsewhere.npy";
  fs::rename(settings.teacher.path, moved);
  settings.teacher.path = moved.string();
  write_text_atomic(moved, read_text(moved) + " ");
  EXPECT_NE(thrown_by([&] { run(folder.path()); }).sentence.find("teacher sha256 is "), std::string::npos);
  fs::remove(moved);
  EXPECT_EQ(run(folder.path()).trials.size(), 2U);
}

TEST_F(SearchTest, ATeacherThatNothingLearnsFromIsNotTrained) {
  settings.teacher = {.config = "1,1,8,0", .epochs = 1};
  settings.configs = {"1,1,8,0"};
  settings.finalist_seeds = 1;
  settings.pipeline.alpha = settings.pipeline.prune_alpha = settings.pipeline.qat_alpha = 1;
  settings.pipeline.curriculum = compress::Curriculum::None;
  const TemporaryFolder folder;
  EXPECT_EQ(run(folder.path()).teacher.source, "none");
  EXPECT_FALSE(fs::exists(folder.path() / "teacher" / "weights.retort"));
}

TEST_F(SearchTest, ATeacherThatOnlyOrdersImagesAnswersForNoOtherViews) {
  settings.teacher = {.config = "1,1,8,0", .epochs = 1};
  settings.configs = {"1,1,8,0"};
  settings.finalist_seeds = 1;
  settings.pipeline.views = {.mirror = data::Mirror::Horizontal, .max_shift = 1};
  settings.pipeline.alpha = settings.pipeline.prune_alpha = settings.pipeline.qat_alpha = 1;
  settings.pipeline.curriculum = compress::Curriculum::Entropy;
  const auto views = [&] {
    const TemporaryFolder folder;
    run(folder.path());
    return compress::load_teacher_logits(folder.path() / "teacher" / "logits.npy", dataset).views.size();
  };
  EXPECT_EQ(views(), 1U);
  settings.pipeline.alpha = 0.5F;
  EXPECT_EQ(views(), 18U);
}

// Its file of answers says nothing of views.
TEST_F(SearchTest, AnswersToViewsOfAnEarlierVersionAreRefused) {
  settings.teacher = {.config = "1,1,8,0", .epochs = 1};
  settings.configs = {"1,1,8,0"};
  settings.finalist_seeds = 1;
  settings.pipeline.views = {.max_shift = 1};
  for (const int64_t views : {9, 2}) {
    const TemporaryFolder folder;
    std::stop_source stop;
    const auto stops = [&](const StudyResult& study) {
      if (!study.trials.empty()) stop.request_stop();
    };
    EXPECT_EQ(thrown_by([&] {
                run_search(
                    settings, dataset,
                    {.folder = folder.path(), .workers = 1, .stop = stop.get_token(), .changed = stops});
              }).code,
              ErrorCode::Interrupted);
    const fs::path note = folder.path() / "teacher" / "logits.json";
    auto json = Json::parse(read_text(note));
    json.erase("views");
    write_text_atomic(note, json.dump());
    const auto images = static_cast<int64_t>(dataset.train.count());
    data::write_npy(folder.path() / "teacher" / "logits.npy", std::vector<int64_t>{views, images, 3},
                    std::vector<float>(static_cast<size_t>(views * images) * 3));
    const Thrown thrown = thrown_by([&] { run(folder.path()); });
    EXPECT_EQ(thrown.code, ErrorCode::Usage);
    EXPECT_NE(thrown.sentence.find("another order"), std::string::npos) << thrown.sentence;
  }
}

TEST_F(SearchTest, APoorTeacherIsNamedOnce) {
  settings.pipeline.quick_epochs = 4;
  settings.finalist_seeds = 1;
  const auto said = [&] {
    const TemporaryFolder folder;
    Listener listener;
    run_search(settings, dataset, {.folder = folder.path(), .workers = 2, .progress = listener});
    return listener.said;
  };
  constexpr std::string_view kWords = "so poor a teacher makes students worse";
  EXPECT_EQ(said().find(kWords), std::string::npos) << "this one knows everything";
  engine::TeacherLogits logits;
  logits.classes = 3;
  logits.images = dataset.train.count();
  for (size_t i = 0; i < logits.images; ++i)
    for (int c = 0; c < 3; ++c) logits.values.push_back(dataset.train.labels[i] == c ? -4.0F : 0.0F);
  compress::save_teacher_logits(settings.teacher.path, logits, dataset);
  const std::string words = said();
  const size_t first = words.find(kWords);
  ASSERT_NE(first, std::string::npos) << words;
  EXPECT_EQ(words.find(kWords, first + 1), std::string::npos);
  settings.pipeline.alpha = 1;
  EXPECT_EQ(said().find(kWords), std::string::npos) << "nobody listens to it";
}

TEST_F(SearchTest, StoppedInTheTeachersTrainingItSaysHowToGoOn) {
  const TemporaryFolder folder;
  settings.teacher = {.config = "1,1,8,0"};
  std::stop_source stop;
  stop.request_stop();
  const Thrown thrown = thrown_by([&] { run(folder.path(), 1, stop.get_token()); });
  EXPECT_EQ(thrown.code, ErrorCode::Interrupted);
  EXPECT_EQ(thrown.sentence, "stopped while the teacher was prepared; the same command goes on from here");
}

TEST_F(SearchTest, ATeacherWhoseDivergencesAreDamagedBeginsAnew) {
  settings.teacher = {.config = "1,1,8,0", .epochs = 1};
  settings.configs = {"1,1,8,0"};
  settings.finalist_seeds = 1;
  for (const char* damaged : {"{", R"([{"stage": 1}])"}) {
    const TemporaryFolder folder;
    std::stop_source stop;
    stop.request_stop();
    EXPECT_EQ(thrown_by([&] { run(folder.path(), 1, stop.get_token()); }).code, ErrorCode::Interrupted);
    const fs::path file = folder.path() / "teacher" / "diverged.json";
    write_text_atomic(file, damaged);
    Listener listener;
    const StudyResult study =
        run_search(settings, dataset, {.folder = folder.path(), .workers = 1, .progress = listener});
    EXPECT_EQ(study.teacher.source, "trained");
    EXPECT_NE(listener.said.find("The teacher begins anew: "), std::string::npos) << listener.said;
    EXPECT_NE(listener.said.find(file.string()), std::string::npos) << listener.said;
  }
}

// While it lives, this is where relative names begin.
class In {
 public:
  explicit In(const fs::path& folder) : before_(fs::current_path()) { fs::current_path(folder); }
  ~In() { fs::current_path(before_); }
  In(const In&) = delete;
  In& operator=(const In&) = delete;

 private:
  fs::path before_;
};

// Stopped before its answers were stored.
TEST_F(SearchTest, ATeachersFileIsFoundFromAnyFolder) {
  const TemporaryFolder folder;
  const TemporaryFolder home;
  const graph::Graph graph = graph::graph_from_config("1,1,8,0", {8, 8, 1}, 3);
  engine::save_model(home.path() / "mine.retort", {graph, graph::initialize(graph, Rng(1))});
  settings.teacher = {.kind = TeacherKind::Model, .path = "mine.retort"};
  settings.configs = {"1,1,8,0"};
  settings.finalist_seeds = 1;
  std::stop_source stop;
  stop.request_stop();
  {
    const In here(home.path());
    EXPECT_EQ(thrown_by([&] { run(folder.path(), 1, stop.get_token()); }).code, ErrorCode::Interrupted);
  }
  const In elsewhere("/");
  EXPECT_NE(thrown_by([&] { run(folder.path()); }).sentence.find("mine.retort"), std::string::npos);
  settings = stored_search(folder.path()).settings;
  EXPECT_EQ(run(folder.path()).teacher.source,
            "file " + (fs::canonical(home.path()) / "mine.retort").string());
}

TEST_F(SearchTest, ATeachersStructureIsFoundFromAnyFolder) {
  const TemporaryFolder folder;
  const TemporaryFolder home;
  const graph::Graph graph = graph::graph_from_config("1,1,8,0", {8, 8, 1}, 3);
  write_text_atomic(home.path() / "net.json", graph::graph_to_json(graph));
  settings.teacher = {.config = "net.json", .epochs = 1};
  settings.configs = {"1,1,8,0"};
  settings.finalist_seeds = 1;
  {
    const In here(home.path());
    run(folder.path());
  }
  const In elsewhere("/");
  settings = stored_search(folder.path()).settings;
  EXPECT_EQ(run(folder.path()).teacher.source, "trained");
  // It is known by what it is.
  const fs::path other = home.path() / "other.json";
  write_text_atomic(other, graph::graph_to_json(graph::graph_from_config("1,1,16,0", {8, 8, 1}, 3)));
  settings.teacher.config = other.string();
  EXPECT_NE(thrown_by([&] { run(folder.path()); }).sentence.find("teacher sha256 is "), std::string::npos);
}

TEST_F(SearchTest, AnotherTeachersNetworkIsTrained) {
  const TemporaryFolder folder;
  settings.teacher = {.config = "1,1,8,0", .epochs = 1};
  settings.configs = {"1,1,8,0"};
  EXPECT_EQ(run(folder.path()).teacher.source, "trained");
  const engine::Model model = engine::load_model(folder.path() / "teacher" / "weights.retort");
  EXPECT_EQ(model.graph, graph::graph_from_config("1,1,8,0", {8, 8, 1}, 3));
  EXPECT_EQ(Json(model.split.value().options), Json(settings.split));
}

TEST_F(SearchTest, NoTeacherIsAControl) {
  const TemporaryFolder folder;
  settings.teacher = parse_teacher("none", settings.teacher);
  settings.pipeline.curriculum = compress::Curriculum::RandomPacing;
  settings.configs = {"1,1,8,0"};
  const StudyResult study = run(folder.path());
  EXPECT_EQ(study.teacher.source, "none");
  EXPECT_EQ(study.trials.at(0).outcome, Outcome::Complete);
}

TEST_F(SearchTest, TrainsItsTeacherOnce) {
  const TemporaryFolder folder;
  dataset = synthetic(120, 30);
  settings.teacher = {};
  settings.teacher.epochs = 1;
  settings.configs = {"1,1,8,0"};
  settings.finalist_seeds = 1;
  const StudyResult study = run(folder.path());
  EXPECT_EQ(study.teacher.source, "trained");
  EXPECT_EQ(study.teacher.history.epochs.size(), 1U);
  EXPECT_TRUE(std::isfinite(study.teacher.test_accuracy));
  EXPECT_EQ(study.teacher.threads, available_cores());
  EXPECT_EQ(load_study(folder.path()).teacher.threads, available_cores());
  EXPECT_TRUE(fs::exists(folder.path() / "teacher" / "weights.retort"));
  EXPECT_TRUE(fs::exists(folder.path() / "teacher" / "logits.npy"));

  // The same teacher from its file.
  const TemporaryFolder other;
  settings.teacher = parse_teacher((folder.path() / "teacher" / "weights.retort").string(), settings.teacher);
  const StudyResult again = run(other.path());
  EXPECT_EQ(again.teacher.validation_accuracy, study.teacher.validation_accuracy);
  EXPECT_EQ(read_file(other.path() / again.trials.at(0).file),
            read_file(folder.path() / study.trials.at(0).file));
}

}  // namespace
}  // namespace retort::search
