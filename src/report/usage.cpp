// What to do with the models: the very commands for this study. And how it was made.
#include <fmt/format.h>

#include <algorithm>
#include <iterator>

#include "base/json.h"
#include "base/units.h"
#include "data/split_record.h"
#include "report/html.h"
#include "report/objectives.h"
#include "report/sections.h"

namespace retort::report {
namespace {

using search::StudyResult;
using search::TrialResult;

std::string indented(const std::string& json) {
  return json.empty() ? std::string() : dump_json(parse_json(json), 2);
}

// The data with the split that the search made of it.
std::string data_options(const StudyResult& study) {
  std::string options = " --data " + shell_word(study.data_spec);
  if (study.settings_json.empty()) return options;
  const Json settings = parse_json(study.settings_json);
  if (!settings.contains("split")) return options;  // of an earlier version
  const data::SplitOptions split = settings.at("split");
  const data::SplitOptions standard;
  if (split.validation_fraction != standard.validation_fraction)
    options += fmt::format(" --validation {}", split.validation_fraction);
  if (split.most_validation_images)
    options += fmt::format(" --validation-images {}", *split.most_validation_images);
  if (split.test_fraction != standard.test_fraction)
    options += fmt::format(" --test-fraction {}", split.test_fraction);
  if (split.seed != standard.seed) options += fmt::format(" --split-seed {}", split.seed);
  return options;
}

// The options of `inspect` for the search's target; a board from a file of the user's own is not known here.
std::string target_options(const cost::Target& target) {
  std::string options;
  const std::vector<cost::Board>& boards = cost::builtin_boards();
  const bool has_board = target.board && std::ranges::find(boards, *target.board) != boards.end();
  if (has_board) options += " --board " + shell_word(target.board->name);
  // Without a board, inspect tells what the runtime takes only where one is named.
  if (!has_board || target.runtime != cost::Runtime::C)
    options += fmt::format(" --runtime {}", cost::to_string(target.runtime));
  return options;
}

// The most accurate model on the front of flash that takes less than the exported one.
const TrialResult* smaller_one(const StudyResult& study, const TrialResult& best) {
  if (best.footprint.flash_bytes() == 0) return nullptr;  // retort pick wants it
  const TrialResult* found = nullptr;
  for (const Objective& objective : objectives(study))
    if (objective.name == "flash")
      for (const TrialResult* trial : front_of(with_cost(study, objective), objective))
        if (flash_bytes(*trial) < flash_bytes(best)) found = trial;
  return found;
}

}  // namespace

std::string usage_section(const StudyResult& study, const std::filesystem::path& folder) {
  const search::BestModel best = search::best_model(study);
  if (best.trial == nullptr) return {};
  const std::string model = shell_word((folder / "best" / "model.tflite").string());
  const std::string data = data_options(study);
  std::string out =
      "<section id=use><h2>What to do with it</h2><p>The best model is <a "
      "href='best/model.tflite'>best/model.tflite</a>, <a href='best/model.json'>best/model.json</a> says "
      "what it takes "
      "and gives, and <code>best/c/</code> is the same as C code. The commands are for the folder in which "
      "the search "
      "was started.</p>";
  const auto add = [&out](std::string_view what, const std::string& commands) {
    out += fmt::format("<h3>{}</h3><pre tabindex=0>{}</pre>", escape_xml(what), clean(commands));
  };
  add("Check it: the accuracy as the chip will compute it, what it takes, a picture of its arena",
      fmt::format("retort eval {0}{1}\nretort inspect {0}{2} --svg arena.svg", model, data,
                  target_options(target_of(study))));
  add("Take it to a chip: C for any build, or a package with an example and a self-test; what follows builds "
      "that",
      fmt::format(
          "retort export {0} --to c --name model{1} --out c/model\n"
          "make -C c/model test\n"
          "retort export {0} --to arduino --name model{1} --out arduino/model\n"
          "cp -r arduino/model ~/Arduino/libraries/   # then File, Examples, model, classify\n"
          "retort export {0} --to esp-idf --name model{1} --out esp-idf/model\n"
          "(cd esp-idf/model/examples/classify && idf.py set-target esp32s3 && idf.py build flash monitor)\n"
          "retort export {0} --to zephyr --name model{1} --out zephyr/model\n"
          "west build -b BOARD zephyr/model/samples/classify && west flash\n"
          "retort export {0} --to platformio --name model{1} --out platformio/model\n"
          "(cd platformio/model/examples/classify && pio run -e esp32 -t upload -t monitor)\n"
          "retort export {0} --to tflm --name model{1} --out tflm/model   # compile model_tflm.cc with "
          "TensorFlow "
          "Lite Micro",
          model, data));
  const std::string place = shell_word(folder.empty() ? "." : folder.string());
  std::string pick = "retort pick " + place;
  if (const TrialResult* smaller = smaller_one(study, *best.trial))
    pick += fmt::format("\nretort pick {} --flash {} --out smaller   # {}, {} on validation", place,
                        flash_bytes(*smaller), format_bytes(flash_bytes(*smaller)),
                        percent(smaller->accuracy_int8));
  add("Choose another: the models that no other beats, and the best within a limit", pick);
  return out + "</section>";
}

std::string settings_section(const StudyResult& study) {
  std::string out = "<section id=settings><h2>How it was made</h2>";
  if (!study.command.empty())
    fmt::format_to(std::back_inserter(out), "<pre tabindex=0>{}</pre>", clean(study.command));
  fmt::format_to(
      std::back_inserter(out),
      "<details class=settings><summary>Every setting</summary>{}<pre tabindex=0>{}</pre></details>"
      "<p class=muted>Data hash {}</p></section>",
      study.plan_json.empty() ? std::string()
                              : fmt::format("<p>Epochs that the time had room for, in place of the "
                                            "settings':</p><pre tabindex=0>{}</pre>",
                                            clean(indented(study.plan_json))),
      clean(indented(study.settings_json)), clean(study.content_hash));
  return out;
}

}  // namespace retort::report
