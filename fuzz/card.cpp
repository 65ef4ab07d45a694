// model.json of a search, which lies beside a model and may be anyone's: what the model card of a package tells of it.
#include <algorithm>

#include "base/rng.h"
#include "deploy/package.h"
#include "int8/random_networks.h"
#include "int8/tflite.h"
#include "target.h"

namespace retort::fuzz {
namespace {

// The card without the characters that stand for themselves (the bracket of \[), and without the command, which lies between
// backticks.
std::string markup_of(std::string_view card) {
  std::string markup;
  while (!card.empty()) {
    const std::string_view line = card.substr(0, std::min(card.find('\n'), card.size() - 1) + 1);
    card.remove_prefix(line.size());
    if (line.starts_with("| command | `")) continue;
    for (size_t i = 0; i < line.size(); ++i) {
      markup += line[i];
      if (line[i] == '\\') ++i;
    }
  }
  return markup;
}

}  // namespace

void run(Bytes bytes) {
  static const int8::QuantGraph graph = [] {
    Rng rng(74);
    return int8::random_network(rng, int8::Ends::Int8);
  }();
  static const Seed tflite = int8::write_tflite(graph);
  const std::string markup = markup_of(deploy::card_text({.graph = graph,
                                                          .tflite = tflite,
                                                          .about_json = std::string(as_text(bytes)),
                                                          .command = "",
                                                          .images = {}}));
  require(markup.find('<') == std::string::npos, "a card has no HTML");
  require(markup.find("](") == std::string::npos, "a card has no links");
  require(markup.find("\n## Accuracy and making\n") != std::string::npos,
          "a card tells of the making or that it can't");
}

std::vector<Seed> seeds() {
  // All that a card tells of.
  constexpr std::string_view kSound =
      R"json({"config": "3 blocks", "layers": "[('Conv2D', 32)]", "teacher": "trained", "accuracy_int8": 0.9,
  "accuracy_float": 0.95, "sparsity": 0.5, "seed": 42, "runs": [{"seed": 42}, {"seed": 43}],
  "test": {"mean": 0.9, "accuracy_int8": 0.91, "spread": 0.01}, "data": {"spec": "images:a", "content_hash": "0123"},
  "input": {"meaning": "low to high", "range": {"low": -1, "high": 1}},
  "command": "retort search 'a' --storage b"})json";
  constexpr std::string_view kHostile =
      R"json({"config": "<b>", "layers": "[a](b)", "teacher": "\\[a\\](b)|`", "accuracy_int8": 1e300,
  "seed": ["<b>"], "runs": [{"seed": {"<b>": "[a](b)\n"}}], "test": {"mean": -1},
  "data": {"spec": "\u0000\n<b>", "content_hash": "![a](b)"}, "input": {"meaning": "&lt;<"},
  "command": "``` '<b> --storage=\\"})json";
  constexpr int kLevels = 40'000;
  std::vector<Seed> all = text_seeds({kSound, kHostile, "{}", "[]", ""});
  all.push_back(seed(R"({"test": {"mean": )" + repeated("[", kLevels) + repeated("]", kLevels) + "}}"));
  return all;
}

}  // namespace retort::fuzz
