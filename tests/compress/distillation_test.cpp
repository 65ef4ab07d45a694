#include "compress/distillation.h"

#include <fmt/format.h>
#include <gtest/gtest.h>

#include <algorithm>
#include <cmath>
#include <functional>

#include "base/error.h"
#include "base/file.h"
#include "data/export.h"
#include "data/npy.h"
#include "engine/small_data.h"

namespace retort::compress {
namespace {

using engine::small_dataset;
using engine::small_graph;
using engine::TeacherLogits;

// One image, one row: α · CE + (1 − α) · T² · KL worked out step by step.
TEST(Distillation, LossIsTheFormula) {
  graph::Graph graph({1, 1, 1, false});
  graph.add(graph::Flatten{});
  graph::Dense dense;
  dense.units = 3;
  graph.add(dense);
  const auto network = engine::backend("reference").compile(graph, {.batch_size = 1});
  graph::Parameters parameters(graph);
  const std::vector<float> z{1.0F, 2.0F, -1.0F};  // the logits: the kernel is zero
  std::copy(z.begin(), z.end(), parameters.at(2, graph::Role::Bias).begin());
  network->set_parameters(parameters);

  const std::vector<uint8_t> image{200};
  const std::vector<uint16_t> label{2};
  const std::vector<float> teacher{0.5F, -2.0F, 3.0F};
  Rng rng(0);
  const double loss = network->compute_gradients({image, label, teacher}, {0.1F, 3.0F, 0.0F}, rng).loss;

  const auto softmax = [](const std::vector<float>& logits, double temperature) {
    std::vector<double> p;
    double sum = 0;
    for (const float logit : logits) sum += std::exp(logit / temperature);
    for (const float logit : logits) p.push_back(std::exp(logit / temperature) / sum);
    return p;
  };
  const double cross_entropy = -std::log(softmax(z, 1)[2]);
  const auto q = softmax(teacher, 3);
  const auto p = softmax(z, 3);
  double divergence = 0;
  for (size_t i = 0; i < 3; ++i) divergence += q[i] * std::log(q[i] / p[i]);
  const double alpha = static_cast<double>(0.1F);
  EXPECT_NEAR(loss, alpha * cross_entropy + (1 - alpha) * 9 * divergence, 1e-12);

  // And its gradient with respect to the logits, which is the bias's.
  const auto gradients = network->gradients();
  const auto p1 = softmax(z, 1);
  for (size_t i = 0; i < 3; ++i)
    EXPECT_NEAR(gradients.at(2, graph::Role::Bias)[i],
                alpha * (p1[i] - (i == 2 ? 1 : 0)) + (1 - alpha) * 3 * (p[i] - q[i]), 1e-7);
}

TEST(Distillation, TeacherLogitsAreItsPredictionsOfEachView) {
  const data::Dataset dataset = small_dataset(600);
  const auto teacher = engine::backend("reference").compile(small_graph(), {});
  teacher->set_parameters(graph::initialize(small_graph(), Rng(2)));
  const data::ViewOptions views{data::Mirror::Horizontal, 1};
  const TeacherLogits logits = teacher_logits(*teacher, dataset, views, silent_progress(), {});
  EXPECT_EQ(logits.views, data::view_numbers(views));
  EXPECT_EQ(logits.images, 600);
  EXPECT_EQ(logits.classes, 4);
  ASSERT_EQ(logits.values.size(), 18 * 600 * 4);
  std::vector<uint8_t> image(36);
  std::vector<float> expected(4);
  const auto numbers = data::view_numbers(views);
  for (int view = 0; view < 18; view += 5)
    for (size_t i = 0; i < 600; i += 71) {
      data::write_view(dataset.train.image(i), dataset.train.shape, numbers[static_cast<size_t>(view)],
                       image);
      teacher->predict(image, expected);
      EXPECT_TRUE(std::equal(expected.begin(), expected.end(), logits.row(i, view).begin()));
    }

  std::stop_source source;
  source.request_stop();
  try {
    teacher_logits(*teacher, dataset, views, silent_progress(), source.get_token());
    FAIL();
  } catch (const Error& error) {
    EXPECT_EQ(error.code(), ErrorCode::Interrupted);
  }
}

class TeacherFile : public testing::Test {
 protected:
  void SetUp() override {
    folder = std::filesystem::path(testing::TempDir()) /
             (std::string("retort_") + testing::UnitTest::GetInstance()->current_test_info()->name());
    std::filesystem::remove_all(folder);
    std::filesystem::create_directories(folder);
    file = folder / "teacher.npy";
  }
  void TearDown() override { std::filesystem::remove_all(folder); }

  // What `retort data export --npy` writes with the images.
  void note(const char* name = "dataset.json") const {
    write_text_atomic(folder / name, R"({"spec": "s", "content_hash": ")" + dataset.content_hash + "\"}");
  }
  void write(std::vector<int64_t> shape, float value = 0.5F) const {
    size_t count = 1;
    for (const int64_t dim : shape) count *= static_cast<size_t>(dim);
    data::write_npy(file, shape, std::vector<float>(count, value));
  }
  [[nodiscard]] std::string load_error() const {
    try {
      load_teacher_logits(file, dataset);
    } catch (const Error& error) {
      EXPECT_EQ(error.code(), ErrorCode::Usage);
      const std::string message = error.what();
      EXPECT_EQ(message.find(folder.string()), 0) << message;
      return message.substr(message.find(": ") + 2);
    }
    return "none";
  }

  std::filesystem::path folder;
  std::filesystem::path file;
  data::Dataset dataset = small_dataset(50);
};

TEST_F(TeacherFile, GivesBackWhatWasSaved) {
  for (const std::vector<int>& views : {std::vector{0}, std::vector{0, 1}, std::vector{0, 2, 4, 160}}) {
    TeacherLogits saved{4, 50, views, {}};
    Rng rng(1);
    for (size_t i = 0; i < 200 * views.size(); ++i) saved.values.push_back(rng.normal());
    save_teacher_logits(file, saved, dataset);
    const TeacherLogits loaded = load_teacher_logits(file, dataset);
    EXPECT_EQ(loaded.views, views);
    EXPECT_EQ(loaded.images, 50);
    EXPECT_EQ(loaded.classes, 4);
    EXPECT_EQ(loaded.values, saved.values);
    EXPECT_EQ(data::read_npy(file).shape.size(), views.size() == 1 ? 2 : 3);
  }
}

TEST_F(TeacherFile, AnyFloatArrayOfTheRightShapeMayTeach) {
  note();
  write({50, 4}, 1.5F);
  const TeacherLogits loaded = load_teacher_logits(file, dataset);
  EXPECT_EQ(loaded.views, std::vector{0});
  EXPECT_EQ(loaded.row(49)[3], 1.5F);
  // Keras and NumPy often give float64.
  const std::vector<double> doubles(200, 2.5);
  const std::vector<int64_t> shape{50, 4};
  data::write_npy(file, "<f8", shape,
                  {reinterpret_cast<const uint8_t*>(doubles.data()), doubles.size() * sizeof(double)});
  EXPECT_EQ(load_teacher_logits(file, dataset).row(0)[0], 2.5F);
}

TEST_F(TeacherFile, ForeignLogitsAreCheckedAgainstTheExportedHash) {
  write({50, 4});
  EXPECT_EQ(load_error(),
            "nothing says which images these logits belong to: put the dataset.json that `retort data export "
            "--npy` wrote with the images into the same folder");
  note();
  EXPECT_EQ(load_error(), "none");
  const std::string own = dataset.content_hash;
  dataset.spec = "idx:here";
  dataset.content_hash = "another";
  EXPECT_EQ(load_error(),
            "the logits were made for other data (s, hash " + own + "; this is idx:here, hash another)");
  note("teacher.json");  // its own note counts before the folder's
  EXPECT_EQ(load_error(), "none");
  write_text_atomic(folder / "teacher.json", R"({"content_hash": 7})");
  EXPECT_EQ(
      load_error(),
      "has no text \"content_hash\"; beside a teacher's logits belongs the dataset.json that `retort data "
      "export --npy` wrote");
  write_text_atomic(folder / "teacher.json", R"({"data_sha256": "another"})");
  EXPECT_EQ(load_error(), "none") << "logits that were saved under the hash's first name";
  std::filesystem::remove(folder / "teacher.json");
  EXPECT_NE(load_error(), "none");
}

TEST_F(TeacherFile, TheNoteSaysOfWhichViewsItIs) {
  write({2, 50, 4});
  note("teacher.json");
  EXPECT_EQ(load_teacher_logits(file, dataset).views, (std::vector{0, 1}));
  write({3, 50, 4});
  EXPECT_EQ(
      load_error(),
      "nothing says of which 3 views of each image these logits are (an earlier version had views in another "
      "order): make them, or begin the search that they are of, anew");
  const auto named = [&](const std::string& views) {
    write_text_atomic(folder / "teacher.json",
                      R"({"content_hash": ")" + dataset.content_hash + R"(", "views": )" + views + "}");
    return load_error();
  };
  const auto view = [](int down, int right, const char* mirrored) {
    return fmt::format(R"({{"down": {}, "right": {}, "mirrored": {}}})", down, right, mirrored);
  };
  const std::string three =
      "[" + view(0, 0, "false") + "," + view(-2, 1, "false") + "," + view(1, 1, "true") + "]";
  EXPECT_EQ(named(three), "none");
  const std::vector<int> numbers = load_teacher_logits(file, dataset).views;
  ASSERT_EQ(numbers.size(), 3U);
  EXPECT_EQ(data::view_place(numbers[1]), (data::ViewPlace{.down = -2, .right = 1}));
  EXPECT_EQ(data::view_place(numbers[2]), (data::ViewPlace{.down = 1, .right = 1, .mirrored = true}));
  EXPECT_EQ(named("[" + view(0, 0, "false") + "]"), "names 1 views, and the logits beside it are of 3");
  EXPECT_EQ(named("[" + view(5, 0, "false") + "]"),
            "has logits of a view that this version lacks (shifted by more than 4 pixels)");
  for (const char* bad : {"7", "[7]", "{}", R"(["a"])", R"([{"down": 1e30, "right": 0, "mirrored": false}])"})
    EXPECT_TRUE(named(bad).starts_with("\"views\" should list") || named(bad).starts_with("names 0 views"))
        << named(bad);
}

// A relative name without a folder has no parent path.
TEST_F(TeacherFile, TheNoteOfABareNameIsInTheCurrentFolder) {
  write({50, 4});
  note();
  const std::filesystem::path before = std::filesystem::current_path();
  std::filesystem::current_path(folder);
  EXPECT_EQ(load_teacher_logits("teacher.npy", dataset).images, 50U);
  std::filesystem::current_path(before);
}

TEST_F(TeacherFile, ErrorsNameWhatDiffers) {
  write({49, 4});
  EXPECT_EQ(load_error(), "logits for 49 images; the data has 50 training images");
  write({50, 10});
  EXPECT_EQ(load_error(), "logits for 10 classes; the data has 4");
  write({200});
  EXPECT_EQ(load_error(),
            "a teacher's logits are images × classes or views × images × classes, these have 1 dimensions");
  write({163, 50, 4});
  EXPECT_EQ(load_error(), "logits for 163 views; 1 to 162 are possible");
  write({50, 4}, NAN);
  note();
  EXPECT_EQ(load_error(), "the logits of row 0 hold nan; finite numbers are needed");

  const std::vector<int64_t> shape{50, 4};
  data::write_npy(file, "|u1", shape, std::vector<uint8_t>(200));
  EXPECT_EQ(load_error(), "a teacher's logits are floating-point numbers, these are |u1");

  save_teacher_logits(file, {4, 50, {0}, std::vector<float>(200)}, dataset);
  EXPECT_EQ(load_error(), "none");
  dataset.content_hash = "another";
  EXPECT_NE(load_error().find("the logits were made for other data"), std::string::npos);
  write_text_atomic(folder / "teacher.json", "[1, 2");
  EXPECT_EQ(
      load_error(),
      "has no text \"content_hash\"; beside a teacher's logits belongs the dataset.json that `retort data "
      "export --npy` wrote");
  write_text_atomic(folder / "teacher.json", std::string(1'000'000, '['));
  EXPECT_NE(load_error().find("is nested more than 64 levels deep"), std::string::npos) << load_error();
  std::filesystem::resize_file(folder / "teacher.json", data::kMostDescriptionBytes + 1);
  EXPECT_NE(load_error().find("bytes; at most 16777216 are read"), std::string::npos) << load_error();
  write_text_atomic(file, "not numpy");
  EXPECT_NE(load_error(), "none");
  std::filesystem::remove(file);
  EXPECT_NE(load_error(), "none");
}

TEST(CurriculumNames, GoBothWays) {
  for (const auto curriculum : {Curriculum::None, Curriculum::Entropy, Curriculum::RandomPacing})
    EXPECT_EQ(parse_curriculum(to_string(curriculum)), curriculum);
  try {
    parse_curriculum("easy");
    FAIL();
  } catch (const Error& error) {
    EXPECT_STREQ(error.what(), "there is no curriculum 'easy'; known: none, entropy, random-pacing");
  }
}

}  // namespace
}  // namespace retort::compress
