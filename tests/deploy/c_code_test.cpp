#include "deploy/c_code.h"

#include <gtest/gtest.h>
#include <unistd.h>

#include <cstdlib>
#include <filesystem>
#include <regex>
#include <set>

#include "base/error.h"
#include "base/file.h"
#include "deploy/exporter.h"
#include "int8/random_networks.h"
#include "int8/reference.h"
#include "int8/tflite.h"

namespace retort::deploy {
namespace {

namespace fs = std::filesystem;

class CCodeTest : public testing::Test {
 protected:
  CCodeTest() : folder_(fs::path(testing::TempDir()) / ("retort-c-" + std::to_string(::getpid()))) {
    fs::create_directories(folder_);
  }
  ~CCodeTest() override { fs::remove_all(folder_); }
  // The exit status of a shell's command.
  int shell(const std::string& command) const {
    return std::system(("cd '" + folder_.string() + "' && (" + command + ") > log 2>&1").c_str());
  }
  [[nodiscard]] std::string log() const { return read_text(folder_ / "log"); }
  void write(const Files& files) const {
    for (const auto& [path, text] : files) write_text_atomic(folder_ / path, text);
  }
  fs::path folder_;
};

Files package(const int8::QuantGraph& graph, const std::string& kind, const std::string& name = "model") {
  const std::vector<uint8_t> file = int8::write_tflite(graph);
  return exporter(kind).files(
      {.graph = graph, .tflite = file, .name = name, .about_json = "", .command = "", .images = {}});
}

// The compiler that builds the tests takes C too.
constexpr const char* kCompile = "cc -std=c99 -Wall -Wextra -Werror -pedantic -O1 -fsanitize=undefined ";

TEST_F(CCodeTest, ThePackagePassesItsSelfTest) {
  Rng rng(1);
  for (int i = 0; i < 6; ++i) {
    const int8::QuantGraph graph =
        int8::random_network(rng, i % 3 == 2 ? int8::Ends::Float : int8::Ends::Int8);
    write(package(graph, "c"));
    ASSERT_EQ(shell("make clean && make test CFLAGS='-O1 -Werror'"), 0) << log();
    EXPECT_NE(log().find("self-test passed"), std::string::npos) << log();
  }
}

TEST_F(CCodeTest, ADamagedPackageFailsItsSelfTest) {
  Rng rng(2);
  Files files = package(int8::random_network(rng), "c");
  const std::string golden = files.at("model_golden.h");
  // One golden byte.
  files["model_golden.h"] =
      std::regex_replace(golden, std::regex("(golden_outputs\\[\\d+\\] = \\{\\n    )\\d+,"),
                         "$01"
                         "99,");
  write(files);
  EXPECT_NE(shell("make test"), 0);
  EXPECT_NE(log().find("self-test failed: -1"), std::string::npos) << log();
  // One bias of the last layer that has some: bytes of the model, not of the golden cases.
  files["model_golden.h"] = golden;
  std::string& weights = files["model_weights.h"];
  const size_t last = weights.rfind("{", weights.rfind("},") - 1);
  weights.insert(last + 1, "1000000 + ");
  write(files);
  EXPECT_NE(shell("make clean && make test"), 0);
  EXPECT_NE(log().find("self-test failed"), std::string::npos) << log();
  EXPECT_EQ(log().find("self-test failed: -1"), std::string::npos) << log();
}

TEST_F(CCodeTest, TwoModelsLiveInOneProgram) {
  Rng rng(3);
  for (const char* name : {"first", "second"}) write(package(int8::random_network(rng), "c", name));
  write_text_atomic(
      folder_ / "both.c",
      "#include \"first_self_test.h\"\n#include \"second_self_test.h\"\n"
      "int main(void) { return first_self_test() + second_self_test() + first_self_test(); }\n");
  ASSERT_EQ(shell(std::string(kCompile) +
                  "both.c first.c first_self_test.c second.c second_self_test.c -o both && ./both"),
            0)
      << log();
  // In one translation unit too: the kernels come once.
  write_text_atomic(folder_ / "one.c",
                    "#include \"first.c\"\n#include \"second.c\"\nint main(void) { first_invoke(); "
                    "second_invoke(); return 0; }\n");
  EXPECT_EQ(shell(std::string(kCompile) + "one.c -o one && ./one"), 0) << log();
}

TEST(CCode, HasNoFloatingPointWhereTheEndsAreInt8) {
  Rng rng(4);
  for (int i = 0; i < 20; ++i) {
    const CCode code = generate_c(int8::random_network(rng), {});
    EXPECT_EQ(code.source.find("float"), std::string::npos);
    EXPECT_EQ(code.source.find("double"), std::string::npos);
    EXPECT_EQ(code.source.find("malloc"), std::string::npos);
  }
}

TEST(CCode, RefusesWhatIsNoName) {
  Rng rng(5);
  const int8::QuantGraph graph = int8::random_network(rng);
  for (const char* name : {"", "9lives", "My", "a-b", "a b"})
    EXPECT_THROW(generate_c(graph, {.name = name}), Error) << name;
}

TEST(CCode, ClassNamesSurviveWhateverTheyHold) {
  Rng rng(6);
  int8::QuantGraph graph = int8::random_network(rng);
  graph.classes.assign(static_cast<size_t>(graph.tensors[static_cast<size_t>(graph.outputs[0])].elements()),
                       "\"\\?\?/\n\xc3\xa9");
  EXPECT_NE(generate_c(graph, {}).source.find(R"("\"\\\077\077/\012\303\251")"), std::string::npos);
}

TEST(Exporter, ListsWhatThereIs) {
  EXPECT_GE(exporter_names().size(), 2U);
  try {
    (void)exporter("pdf");
    FAIL();
  } catch (const Error& error) {
    EXPECT_NE(std::string(error.what()).find("tflm"), std::string::npos) << error.what();
  }
}

TEST(TflmExporter, NamesExactlyTheOperatorsItNeeds) {
  Rng rng(7);
  for (int i = 0; i < 20; ++i) {
    const int8::QuantGraph graph = int8::random_network(rng);
    const std::string source = package(graph, "tflm").at("model_tflm.cc");
    std::set<std::string> kinds;
    for (const int8::Operator& op : graph.operators) kinds.insert(int8::operator_name(op.kind));
    size_t added = 0;
    for (size_t at = source.find("resolver.Add"); at != std::string::npos;
         at = source.find("resolver.Add", at + 1))
      ++added;
    EXPECT_EQ(added, kinds.size());
  }
}

}  // namespace
}  // namespace retort::deploy
