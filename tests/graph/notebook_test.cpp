#include "graph/notebook.h"

#include <gtest/gtest.h>

#include <filesystem>
#include <fstream>
#include <set>

#include "base/error.h"
#include "base/file.h"
#include "graph/parameters.h"
#include "graph/random_graph.h"
#include "temporary_folder.h"

namespace retort::graph {
namespace {

constexpr Shape kGrey{32, 32, 1, false};

std::vector<std::string> names(const Graph& graph) {
  std::vector<std::string> result;
  for (const Node& node : graph.nodes()) result.emplace_back(operator_name(node.op));
  return result;
}

std::string usage_message(std::string_view config) {
  try {
    graph_from_config(config, kGrey, 10);
  } catch (const Error& error) {
    EXPECT_EQ(error.code(), ErrorCode::Usage);
    return error.what();
  }
  return "no error";
}

TEST(Notebook, GridHas216ConfigurationsAnd162Networks) {
  std::set<std::string> hashes;
  int configurations = 0;
  for (const int blocks : {1, 2, 3})
    for (const int layers : {1, 2})
      for (const int filters : {16, 32, 64})
        for (const int dense : {0, 1, 2})
          for (const int units : {64, 128, 256, 512}) {
            ++configurations;
            const StudentConfig config{blocks, layers, filters, dense, units};
            const Graph graph = create_model(student_layers(config, 10), kGrey, 10);
            hashes.insert(structural_hash(graph));
            EXPECT_EQ(graph_from_config(to_string(config), kGrey, 10), graph) << to_string(config);
            EXPECT_EQ(graph_from_config(to_string(student_layers(config, 10)), kGrey, 10), graph);
          }
  EXPECT_EQ(configurations, 216);
  EXPECT_EQ(hashes.size(), 162U);
}

TEST(Notebook, PrintsAsTheNotebookDoes) {
  EXPECT_EQ(to_string(student_layers({2, 1, 16, 1, 64}, 10)),
            "[('Conv2D', 16), ('MaxPool2D', None), ('Conv2D', 32), ('MaxPool2D', None), "
            "('GlobalAveragePooling2D', None), ('Dense', 64), ('Dense', 10)]");
  EXPECT_EQ(to_string(StudentConfig{3, 2, 32, 1, 128}), "3 blocks, 2 layers, 32 filters, 1 dense, 128 units");
  EXPECT_EQ(to_string(StudentConfig{1, 1, 16, 0, 64}), "1 block, 1 layer, 16 filters, 0 dense");
}

TEST(Notebook, CreateModelKeepsItsRules) {
  using Kind = LayerKind;
  // The list's last layer is dropped, whatever it is.
  EXPECT_EQ(names(create_model({{Kind::Conv2D, 4}, {Kind::Conv2D, 8}}, kGrey, 10)),
            (std::vector<std::string>{"input", "conv", "relu", "flatten", "dense", "softmax"}));
  // Convs, pools and a second flatten after a flatten are skipped.
  EXPECT_EQ(names(create_model({{Kind::Flatten, 0},
                                {Kind::Conv2D, 4},
                                {Kind::MaxPool2D, 0},
                                {Kind::Flatten, 0},
                                {Kind::GlobalAveragePooling2D, 0},
                                {Kind::Dense, 5},
                                {Kind::Dense, 10}},
                               kGrey, 10)),
            (std::vector<std::string>{"input", "flatten", "dense", "relu", "dense", "softmax"}));
  // Dense flattens when nothing has.
  EXPECT_EQ(names(create_model({{Kind::MaxPool2D, 0}, {Kind::Dense, 5}, {Kind::Dense, 10}}, kGrey, 10)),
            (std::vector<std::string>{"input", "max_pool", "flatten", "dense", "relu", "dense", "softmax"}));
  EXPECT_EQ(names(create_model({{Kind::Dense, 10}}, kGrey, 7)),
            (std::vector<std::string>{"input", "flatten", "dense", "softmax"}));
  EXPECT_EQ(create_model({{Kind::Dense, 10}}, kGrey, 7).classes(), 7);
  // A pool with nothing left to pool.
  const std::vector<Layer> pools(7, Layer{Kind::MaxPool2D, 0});
  EXPECT_THROW(create_model(pools, kGrey, 10), Error);
  EXPECT_THROW(create_model({}, kGrey, 10), Error);
}

TEST(Notebook, TeacherIsTheNotebooks) {
  const Graph teacher = teacher_graph(kGrey, 10);
  std::vector<std::string> expected = {"input"};
  for (int stage = 0; stage < 3; ++stage)
    for (const char* name :
         {"conv", "relu", "batch_norm", "conv", "relu", "batch_norm", "max_pool", "dropout"})
      expected.emplace_back(name);
  for (const char* name :
       {"flatten", "dense", "relu", "dense", "relu", "dense", "relu", "dropout", "dense", "softmax"})
    expected.emplace_back(name);
  EXPECT_EQ(names(teacher), expected);
  EXPECT_EQ(std::get<Conv>(teacher.node(1).op).initializer, Initializer::HeUniform);
  EXPECT_EQ(std::get<Dense>(teacher.node(teacher.logits()).op).initializer, Initializer::GlorotUniform);
  EXPECT_EQ(std::get<Dropout>(teacher.node(16).op).rate, 0.3F);
}

TEST(Config, ReadsEveryForm) {
  const Graph expected = create_model(student_layers({3, 2, 32, 1, 128}, 10), kGrey, 10);
  for (const char* text :
       {"3 blocks, 2 layers, 32 filters, 1 dense, 128 units", "3,2,32,1,128", " 3, 2, 32, 1, 128 ",
        "128 units 1 dense 32 filters 2 layers 3 blocks", "3blocks,2layers,32filters,1dense,128units"})
    EXPECT_EQ(graph_from_config(text, kGrey, 10), expected) << text;
  EXPECT_EQ(graph_from_config("2 blocks", kGrey, 10),
            create_model(student_layers({.blocks = 2}, 10), kGrey, 10));
  EXPECT_EQ(
      graph_from_config("[(\"Conv2D\", 4), ('Flatten'), ('Dense', 10),]", kGrey, 10),
      create_model({{LayerKind::Conv2D, 4}, {LayerKind::Flatten, 0}, {LayerKind::Dense, 10}}, kGrey, 10));
}

TEST(Config, RefusesWithOneClearSentence) {
  EXPECT_NE(usage_message("").find("empty"), std::string::npos);
  EXPECT_NE(usage_message("3 block5").find("block5"), std::string::npos);
  EXPECT_NE(usage_message("3 blocks, 2 blocks").find("twice"), std::string::npos);
  EXPECT_NE(usage_message("blocks 3").find("a number is missing"), std::string::npos);
  EXPECT_NE(usage_message("3").find("',' is missing"), std::string::npos);
  EXPECT_NE(usage_message("3,2,32,1,128,7").find("nothing more"), std::string::npos);
  EXPECT_NE(usage_message("99999999999 blocks").find("too large"), std::string::npos);
  EXPECT_NE(usage_message("0 blocks").find("0 blocks asked for"), std::string::npos);
  EXPECT_NE(usage_message("6 blocks").find("window"), std::string::npos);
  EXPECT_NE(usage_message("16 blocks, 65536 filters").find("doubled"), std::string::npos);
  EXPECT_NE(usage_message("[('Conv2D', None)]").find("needs a number of filters"), std::string::npos);
  EXPECT_NE(usage_message("[('Flatten', 3)]").find("takes no number"), std::string::npos);
  for (const char* list : {"[('Dense', 8), ('Conv2D', 8)]", "[('Conv2D', 8)]"})
    EXPECT_EQ(usage_message(list),
              "the list of layers ends with Conv2D, but its last one stands for the classes' layer: write "
              "('Dense', 10) last");
  EXPECT_NE(usage_message("[]").find("the list of layers is empty, but"), std::string::npos);
  EXPECT_NE(usage_message("[('Conv3D', 3)]").find("\"Conv3D\" is not a layer"), std::string::npos);
  EXPECT_NE(usage_message("[('Conv2D', 3)").find("']' is missing"), std::string::npos);
  EXPECT_NE(usage_message("[('Conv2D', 0), ('Dense', 10)]").find("layer 1 (Conv2D): filters is 0"),
            std::string::npos);
  EXPECT_NE(usage_message("nowhere.json").find("nowhere.json"), std::string::npos);
}

class ConfigFile : public testing::Test {
 protected:
  void SetUp() override {
    path_ = (std::filesystem::temp_directory_path() /
             ("retort_config_" + std::to_string(::testing::UnitTest::GetInstance()->random_seed()) + "_" +
              ::testing::UnitTest::GetInstance()->current_test_info()->name() + ".json"))
                .string();
  }
  void TearDown() override { std::filesystem::remove(path_); }
  void write(const std::string& text) const { std::ofstream(path_) << text; }
  std::string path_;
};

TEST_F(ConfigFile, HoldsAGraphOrAListOfLayers) {
  const Graph expected = create_model(student_layers({}, 10), kGrey, 10);
  write(graph_to_json(expected));
  EXPECT_EQ(graph_from_config(path_, kGrey, 10), expected);
  write(R"([["Conv2D", 16], ["MaxPool2D", null], ["GlobalAveragePooling2D"], ["Dense", 10]])");
  EXPECT_EQ(graph_from_config(path_, kGrey, 10), expected);
}

TEST_F(ConfigFile, MustFitTheData) {
  write(graph_to_json(create_model(student_layers({}, 10), kGrey, 10)));
  EXPECT_THROW(graph_from_config(path_, {28, 28, 1, false}, 10), Error);
  EXPECT_THROW(graph_from_config(path_, kGrey, 2), Error);
  write("[[7]]");
  EXPECT_NE(usage_message(path_).find("layer 1"), std::string::npos);
  write(R"([["Conv2D", -3]])");
  EXPECT_NE(usage_message(path_).find("layer 1"), std::string::npos);
  write("[[[[[[[7]]]]]]]");
  EXPECT_NE(usage_message(path_).find("nested"), std::string::npos);
  write("");
  EXPECT_NE(usage_message(path_).find(path_), std::string::npos);
}

TEST(Config, ALargeFileIsRefusedBeforeItIsRead) {
  const TemporaryFolder folder;
  const std::filesystem::path file = folder.path() / "large.json";
  write_text_atomic(file, "[");
  std::filesystem::resize_file(file, uintmax_t{1} << 30U);  // without any disk behind it
  EXPECT_NE(usage_message(file.string()).find("has 1073741824 bytes; at most 16777216 are read"),
            std::string::npos);
}

}  // namespace
}  // namespace retort::graph
