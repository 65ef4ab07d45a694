// Networks with what other people's files hold, as C code under sanitizers, against the interpreter.
#include <fmt/format.h>
#include <gtest/gtest.h>
#include <unistd.h>

#include <cstdlib>
#include <filesystem>

#include "base/file.h"
#include "deploy/c_code.h"
#include "int8/check.h"
#include "int8/random_quant_graph.h"
#include "int8/reference.h"

namespace retort::deploy {
namespace {

namespace fs = std::filesystem;

std::string bytes_text(const std::string& name, const std::vector<uint8_t>& bytes) {
  std::string text = fmt::format("static const unsigned char {}[] = {{", name);
  for (const uint8_t byte : bytes) text += std::to_string(byte) + ",";
  return text + "};\n";
}

TEST(ForeignNetworks, GiveTheInterpretersBytes) {
  constexpr int kNetworks = 60;
  constexpr int kInputs = 4;
  const fs::path folder = fs::path(testing::TempDir()) / ("retort-foreign-" + std::to_string(::getpid()));
  Rng rng(3);
  std::string includes = "#include <stdio.h>\n#include <string.h>\n";
  std::string calls;
  for (int i = 0; i < kNetworks; ++i) {
    const int8::QuantGraph graph = int8::random_quant_graph(rng);
    int8::check(graph, "a random network");
    const std::string name = fmt::format("n{}", i);
    const CCode code = generate_c(graph, {.name = name});
    write_text_atomic(folder / (name + ".h"), code.header);
    write_text_atomic(folder / (name + ".c"), code.source);
    write_text_atomic(folder / (name + "_weights.h"), code.weights);
    int8::Interpreter interpreter(graph);
    std::vector<uint8_t> inputs;
    std::vector<uint8_t> outputs;
    std::vector<uint8_t> output(static_cast<size_t>(interpreter.output_bytes()));
    for (int k = 0; k < kInputs; ++k) {
      std::vector<uint8_t> input(static_cast<size_t>(interpreter.input_bytes()));
      for (uint8_t& byte : input) byte = k == 0 ? 0x80 : k == 1 ? 0x7f : static_cast<uint8_t>(rng.next_u32());
      interpreter.invoke(input, output);
      inputs.insert(inputs.end(), input.begin(), input.end());
      outputs.insert(outputs.end(), output.begin(), output.end());
    }
    includes += fmt::format("#include \"{}.c\"\n", name) + bytes_text(name + "_in", inputs) +
                bytes_text(name + "_out", outputs);
    calls += fmt::format(
        "  for (i = 0; i < {1}; ++i) {{\n    memcpy({0}_input(), {0}_in + i * {2}, {2});\n    {0}_invoke();\n"
        "    if (memcmp({0}_output(), {0}_out + i * {3}, {3})) {{ printf(\"{0}: input %d\\n\", i); ++wrong; "
        "}}\n  }}\n",
        name, kInputs, interpreter.input_bytes(), interpreter.output_bytes());
  }
  write_text_atomic(folder / "all.c", includes + "int main(void) {\n  int i, wrong = 0;\n" + calls +
                                          "  return wrong != 0;\n}\n");
  const std::string command =
      "cd '" + folder.string() +
      "' && (cc -std=c99 -Wall -Wextra -Werror -O1 -fsanitize=address,undefined "
      "-fno-sanitize-recover=all all.c -o all && ASAN_OPTIONS=detect_leaks=0 ./all) > log 2>&1";
  EXPECT_EQ(std::system(command.c_str()), 0) << read_text(folder / "log").substr(0, 3000);
  fs::remove_all(folder);
}

}  // namespace
}  // namespace retort::deploy
