// Packages for microcontrollers' systems; conformance/packages.py holds them against those systems' tools.
#include <gtest/gtest.h>

#include <regex>

#include "base/error.h"
#include "deploy/exporter.h"
#include "int8/random_networks.h"
#include "int8/tflite.h"

namespace retort::deploy {
namespace {

Files package(const int8::QuantGraph& graph, const std::string& kind, const std::string& version = "1.0.0") {
  const std::vector<uint8_t> file = int8::write_tflite(graph);
  return exporter(kind).files({.graph = graph,
                               .tflite = file,
                               .name = "my_net",
                               .version = version,
                               .about_json = "",
                               .command = "",
                               .images = {}});
}

bool takes_images(const int8::QuantGraph& graph) {
  const std::vector<int>& dims = graph.tensors[static_cast<size_t>(graph.inputs[0])].dims;
  return dims.size() == 4 && (dims[3] == 1 || dims[3] == 3);
}

TEST(Packages, AreComplete) {
  Rng rng(1);
  for (int i = 0; i < 8; ++i) {
    const int8::QuantGraph graph =
        int8::random_network(rng, i % 2 == 0 ? int8::Ends::Int8 : int8::Ends::Float);
    for (const std::string& kind : exporter_names()) {
      const Files files = package(graph, kind);
      for (const char* name : {"README.md", "MODEL_CARD.md", "LICENSE"})
        EXPECT_TRUE(files.contains(name)) << kind;
      bool prepares = false;
      for (const auto& [path, text] : files) {
        if (path.ends_with(".tflite")) continue;
        EXPECT_FALSE(std::regex_search(text, std::regex("@[A-Za-z_]+@"))) << kind << ", " << path;
        prepares = prepares || path.ends_with("my_net_image.c");
      }
      EXPECT_EQ(prepares, kind != "tflm" && takes_images(graph)) << kind;
    }
  }
}

TEST(Packages, CarryTheirVersion) {
  Rng rng(2);
  const int8::QuantGraph graph = int8::random_network(rng);
  EXPECT_NE(package(graph, "arduino", "2.10.3").at("library.properties").find("version=2.10.3\n"),
            std::string::npos);
  for (const char* version : {"1", "1.2", "v1.2.3", "1.02.3", "1.2.3 ", ""})
    EXPECT_THROW((void)package(graph, "arduino", version), Error) << version;
  EXPECT_TRUE(has_version("platformio"));
  EXPECT_FALSE(has_version("c"));
}

TEST(Packages, TheGoldenBytesAreCompiledOnce) {
  Rng rng(3);
  const int8::QuantGraph graph = int8::random_network(rng);
  for (const std::string& kind : exporter_names()) {
    if (kind == "tflm") continue;
    int readers = 0;
    for (const auto& [path, text] : package(graph, kind))
      if (text.find("my_net_golden.h\"") != std::string::npos) ++readers;
    EXPECT_EQ(readers, 1) << kind;
  }
}

TEST(Packages, NamesAreOfCAndOfFiles) {
  Rng rng(4);
  const int8::QuantGraph graph = int8::random_network(rng);
  const std::vector<uint8_t> file = int8::write_tflite(graph);
  for (const char* kind : {"c", "tflm"}) {
    const auto make = [&](const char* name) {
      (void)exporter(kind).files(
          {.graph = graph, .tflite = file, .name = name, .about_json = "", .command = "", .images = {}});
    };
    for (const char* name : {"stdint", "string", "arduino", "9", "9a", "a b", "A", "", "_", "_a", "a_",
                             "a__b", "con", "nul", "aux", "prn", "com1", "lpt9"})
      EXPECT_THROW(make(name), Error) << kind << ", " << name;
    for (const char* name : {"a_b9", "com10"}) EXPECT_NO_THROW(make(name)) << kind << ", " << name;
  }
}

TEST(Packages, TheModelCardIsATableWhateverTheNames) {
  Rng rng(5);
  int8::QuantGraph graph = int8::random_network(rng, int8::Ends::Int8);
  const auto classes = static_cast<size_t>(graph.tensors[static_cast<size_t>(graph.outputs[0])].dims.back());
  graph.classes.assign(classes, "a|b");
  const std::vector<uint8_t> file = int8::write_tflite(graph);
  const Files files = exporter("c").files({.graph = graph,
                                           .tflite = file,
                                           .about_json = R"({"command":
                           "retort search 'a|`b`' --storage 'postgresql://ann@h/a b' --study=c '--storage=sqlite:d'",
                         "data": {"spec": "images:a|b\n# c"},
                         "input": {"meaning": "low to high", "range": {"low": -3.25, "high": 2.5}}})",
                                           .command = "retort export '`'",
                                           .images = {}});
  const std::string& card = files.at("MODEL_CARD.md");
  const auto says = [&](const char* text) { EXPECT_NE(card.find(text), std::string::npos) << text << card; };
  says("| classes | a\\|b, a\\|b");
  says("| data | images:a\\|b # c |");
  says("| range of the input | low = -3.25, high = 2.5 |");
  says("| command | `` retort search 'a\\|`b`' --study=c `` |");
  says("Exported by `` retort export '`' ``.");
  EXPECT_EQ(card.find("− -"), std::string::npos);
}

TEST(Packages, NamesInTheModelCardAreTextAlone) {
  Rng rng(5);
  int8::QuantGraph graph = int8::random_network(rng, int8::Ends::Int8);
  const auto classes = static_cast<size_t>(graph.tensors[static_cast<size_t>(graph.outputs[0])].dims.back());
  graph.classes.assign(classes, "<img src=x>&\033[2J\n[a](b)");
  const std::vector<uint8_t> file = int8::write_tflite(graph);
  const Files files = exporter("c").files(
      {.graph = graph, .tflite = file, .about_json = "{}", .command = "retort export", .images = {}});
  const std::string& card = files.at("MODEL_CARD.md");
  EXPECT_NE(card.find("&lt;img src=x>&amp; \\[2J \\[a\\](b)"), std::string::npos) << card;
  EXPECT_EQ(card.find('\033'), std::string::npos);
}

std::string card_about(const std::string& about_json) {
  Rng rng(5);
  const int8::QuantGraph graph = int8::random_network(rng, int8::Ends::Int8);
  const std::vector<uint8_t> file = int8::write_tflite(graph);
  return exporter("c")
      .files({.graph = graph, .tflite = file, .about_json = about_json, .command = "", .images = {}})
      .at("MODEL_CARD.md");
}

TEST(Packages, WhatIsToldOfTheMakingIsTextAlone) {
  const std::string bad = "\"<b>[a](https://b)\"";
  const std::string card = card_about(R"({"config": )" + bad + R"(, "layers": )" + bad + R"(, "teacher": )" +
                                      bad + R"(, "data": {"spec": )" + bad + R"(, "content_hash": )" + bad +
                                      R"(}, "input": {"meaning": )" + bad + R"(}, "seed": )" + bad +
                                      R"(, "runs": [{"seed": )" + bad + "}]}");
  EXPECT_EQ(card.find('<'), std::string::npos) << card;
  const std::string text = R"(&lt;b>\[a\](https://b))";
  size_t told = 0;
  for (size_t at = card.find(text); at != std::string::npos; at = card.find(text, at + 1)) ++told;
  EXPECT_EQ(told, 8U) << card;
}

TEST(Packages, SharesAreWithinOne) {
  const std::string card = card_about(R"({"accuracy_int8": 1e300, "accuracy_float": 0.5, "sparsity": -1,
                                          "test": {"mean": 2, "accuracy_int8": "all", "spread": 0.25}})");
  const auto says = [&](const char* text) { EXPECT_NE(card.find(text), std::string::npos) << text << card; };
  says("| validation accuracy, int8 | not known |");
  says("| validation accuracy before quantising | 50.00 % |");
  says("| zeros among the weights | not known |");
  says("| test accuracy, int8 | not known; over all seeds not known ± 25.00 % |");
}

TEST(Packages, WhatIsTooDeepIsNotTold) {
  constexpr int kLevels = 200'000;
  std::string deep;
  for (int i = 0; i < kLevels; ++i) deep += R"({"a":)";
  const std::string card =
      card_about(R"({"config": "1 block", "test": )" + deep + "1" + std::string(kLevels, '}') + "}");
  EXPECT_NE(card.find("Not known"), std::string::npos) << card;
}

}  // namespace
}  // namespace retort::deploy
