#include <fmt/format.h>

#include <algorithm>
#include <cmath>
#include <iterator>
#include <optional>
#include <utility>

#include "base/json.h"
#include "base/units.h"
#include "base/work_clock.h"
#include "report/html.h"
#include "report/sections.h"

namespace retort::report {
namespace {

using search::Finalist;
using search::Outcome;
using search::StudyResult;
using search::TrialResult;

std::string mean_caption(const Finalist& finalist, double mean, double spread) {
  return finalist.runs.size() < 2
             ? std::string()
             : fmt::format("; {} over {} seeds", mean_text(&finalist, mean, spread), finalist.runs.size());
}

// "within 64.0 KB of flash and 32.0 KB of RAM, as generated C on Arduino Nano 33 BLE, in 8m"
std::string asked(const StudyResult& study) {
  const Json settings = study.settings_json.empty() ? Json::object() : parse_json(study.settings_json);
  const Json limits = settings.value("limits", Json::object());
  std::string within;
  const auto limit = [&](const char* name, const auto& text) {
    const Json value = limits.value(name, Json());
    if (!value.is_null()) within += (within.empty() ? " within " : ", ") + text(value);
  };
  limit("flash_bytes", [](const Json& v) { return format_bytes(v.get<int64_t>()) + " of flash"; });
  limit("ram_bytes", [](const Json& v) { return format_bytes(v.get<int64_t>()) + " of RAM"; });
  limit("macs", [](const Json& v) { return format_count(v.get<int64_t>()) + " multiply-accumulates"; });
  limit("latency_seconds",
        [](const Json& v) { return fmt::format("{:g} ms an inference", v.get<double>() * 1000); });
  const cost::Target target = target_of(study);
  std::string text =
      fmt::format("the most accurate int8 network{}, as {}{}", within, cost::title(target.runtime),
                  target.board ? " on " + target.board->title : "");
  const Json seconds = settings.value("seconds", Json());
  text += fmt::format("; preset {}", study.preset);
  if (!seconds.is_null())
    text += fmt::format(
        ", {} of {}", format_duration(seconds.get<double>()),
        settings.value("clock", "wall") == to_string(WorkTime::Cpu) ? "processor time a core" : "time");
  return text;
}

std::string cards(const StudyResult& study, const TrialResult& best) {
  const auto [exported, finalist, run] = search::best_model(study);
  std::string out = "<div class=cards>";
  if (finalist)
    out += card(percent(run->test_accuracy),
                fmt::format("test accuracy, int8, seed {}{}", run->seed,
                            mean_caption(*finalist, finalist->test_mean, finalist->test_spread)));
  out += card(
      percent(best.accuracy_int8),
      finalist ? fmt::format("validation accuracy, int8, seed {}{}", run->seed,
                             mean_caption(*finalist, finalist->validation_mean, finalist->validation_spread))
               : std::string("validation accuracy, int8: what is ranked"));
  if (best.footprint.flash_bytes() > 0) {  // studies from before there were runtimes have none
    out += card(format_bytes(best.footprint.flash_bytes()),
                fmt::format("flash with the runtime: {} bytes", cost::flash_parts(best.footprint)));
    out += card(format_bytes(best.footprint.ram_bytes()),
                fmt::format("RAM with the runtime: {} bytes", cost::ram_parts(best.footprint)));
  }
  if (best.latency) out += card(cost::latency_text(*best.latency), "an inference on the board, estimated");
  out += card(format_count(best.macs), "multiply-accumulates an image");
  out += card(format_integer(best.parameters),
              fmt::format("parameters, {:.0f}% of the kernels' weights zero", best.sparsity * 100));
  out += card(format_bytes(best.flash_bytes),
              fmt::format(".tflite, {} bytes", format_integer(best.flash_bytes)));
  out +=
      card(format_bytes(best.arena_bytes_cortex_m4),
           fmt::format("TFLM's arena on a Cortex-M4, {} bytes", format_integer(best.arena_bytes_cortex_m4)));
  return out + "</div>";
}

std::string counts(const StudyResult& study) {
  const auto count = [&](Outcome outcome, std::optional<search::Effort> effort = {}) {
    return std::ranges::count_if(study.trials, [&](const TrialResult& trial) {
      return trial.outcome == outcome && (!effort || trial.effort == *effort);
    });
  };
  std::string of_them;
  const auto add = [&of_them](int64_t number, std::string_view one, std::string_view more) {
    if (number > 0) of_them += (of_them.empty() ? ": " : ", ") + format_counted(number, one, more);
  };
  // What got less than all stages chose what gets them.
  add(count(Outcome::Complete, search::Effort::Explore), "structure explored", "structures explored");
  add(count(Outcome::Complete, search::Effort::Heat), "heat", "heats");
  add(count(Outcome::Complete, search::Effort::Recipe), "recipe tried", "recipes tried");
  add(count(Outcome::Complete, search::Effort::Full), "went through all stages", "went through all stages");
  add(count(Outcome::Skipped), "did not pass the gate", "did not pass the gate");
  add(count(Outcome::Infeasible), "does not fit", "do not fit");
  add(count(Outcome::Failed), "failed", "failed");
  std::string out =
      fmt::format("<p>{} in {}{}.", format_counted(static_cast<int64_t>(study.trials.size()), "training"),
                  search::time_text(study), of_them);
  if (study.left_out > 0)
    fmt::format_to(std::back_inserter(out),
                   " {} left out for lack of time: the same command with a longer --time takes {} up.",
                   format_counted(study.left_out, "more was", "more were"),
                   study.left_out == 1 ? "it" : "them");
  const Json plan = study.plan_json.empty() ? Json::object() : parse_json(study.plan_json);
  if (plan.contains("no_teacher")) out += " " + clean(plan.at("no_teacher").get<std::string>());
  if (std::isfinite(study.teacher.validation_accuracy)) {
    fmt::format_to(
        std::back_inserter(out), " The teacher ({}{}) has {} on validation", clean(study.teacher.source),
        study.teacher.threads > 0 ? ", " + format_counted(study.teacher.threads, "thread") : std::string(),
        percent(study.teacher.validation_accuracy));
    if (std::isfinite(study.teacher.test_accuracy))
      fmt::format_to(std::back_inserter(out), " and {} on test", percent(study.teacher.test_accuracy));
    if (!study.teacher.diverged.empty())
      out += "; it " + clean(search::divergence_text(study.teacher.diverged));
    out += ".";
  }
  return out + "</p>";
}

}  // namespace

std::string summary_section(const StudyResult& study) {
  const std::vector<const TrialResult*> top = top_trials(study);
  std::string out = fmt::format(
      "<section id=summary><h1>{}</h1><p class=muted>{} training, {} validation and {} test images · "
      "{}</p><p>Asked: {}.</p>",
      clean(study.data_spec), format_integer(study.train_images), format_integer(study.validation_images),
      format_integer(study.test_images),
      format_counted(static_cast<int64_t>(study.classes.size()), "class", "classes"),
      escape_xml(asked(study)));
  if (top.empty()) {
    out += "<p><b>No candidate has gone through all stages yet.</b></p>";
  } else {
    // The exported model; until one is chosen the leader so far.
    const TrialResult* exported = search::best_model(study).trial;
    const TrialResult& best = exported ? *exported : *top.front();
    out += fmt::format("<p class=found>{}: <b>{}</b></p>{}", exported ? "Best" : "Best so far",
                       escape_xml(best.config), cards(study, best));
  }
  return out + counts(study) + "</section>";
}

}  // namespace retort::report
