#include "report/live/page.h"

#include <fmt/format.h>

#include <array>

#include "live_assets.h"
#include "report/html.h"
#include "report/page.h"
#include "report/report_style.h"
#include "report/style.h"

namespace retort::report {
namespace {

// In their order on the page; "trials" is made for each reader.
constexpr std::array kMain = {"summary",  "contents", "now",         "front",    "trials",
                              "progress", "stages",   "costs",       "details",  "mistakes",
                              "labels",   "usage",    "exploration", "settings", "files"};

std::string document(std::string_view title, std::string_view body) {
  return fmt::format(
      "<!DOCTYPE html><html lang=en><head><meta charset=utf-8><meta name=viewport "
      "content='width=device-width, "
      "initial-scale=1'><meta name=color-scheme content='light dark'><title>{}</title><link rel=icon "
      "href='data:,'>"
      "<link rel=stylesheet href=live.css><script src=live.js defer></script></head><body>{}</body></html>",
      clean(title), body);
}

std::string slot(const LiveView& view, const char* name, std::string_view tag) {
  const auto found = view.sections.find(name);
  const LiveSection empty;
  const LiveSection& section = found == view.sections.end() ? empty : found->second;
  return fmt::format("<{} data-live={} data-version={}>{}</{}>", tag, name,
                     section.version.empty() ? "none" : section.version, section.html,
                     tag.substr(0, tag.find(' ')));
}

}  // namespace

std::string live_page(const LiveView& view, const TrialQuery& query) {
  const LiveFacts& facts = view.facts;
  std::string body = "<a class=skip href='#main'>To the content</a><p id=connection role=status></p>" +
                     slot(view, "status", "header id=status") + "<main id=main>";
  for (const char* name : kMain) {
    if (std::string_view(name) == "trials") {
      body += fmt::format(
          "<div data-live=trials data-version={}><section id=trials><h2>Every network</h2>{}<div "
          "id=trials-table>{}</div></section></div>",
          view.trials_version.empty() ? "none" : view.trials_version, trials_form(query),
          trials_table(facts.study ? *facts.study : search::StudyResult{}, query));
    } else {
      body += slot(view, name, "div");
    }
  }
  return document(fmt::format("{}: Retort", facts.folder), body + "</main>");
}

std::string trial_page(const LiveView& view, int number) {
  const LiveFacts& facts = view.facts;
  const std::string trial = facts.study ? trial_body(*facts.study, number) : std::string();
  if (trial.empty()) return {};
  return document(fmt::format("Trial {}: Retort", number),
                  "<header><nav><a href='./#trials'>All trials of " + clean(facts.folder) +
                      "</a></nav></header><main id=main>" + trial + "</main>");
}

std::string login_page(std::string_view problem) {
  return document(
      "Retort",
      fmt::format(
          "<main id=main><h1>Retort</h1><p>This page needs its token. `retort serve` has shown it, or was "
          "given it.</p><p id=problem role=alert>{}</p><form id=login method=post action=login "
          "class=filter><label>token <input type=password name=token required "
          "autocomplete=current-password></label> <button>Show the page</button></form></main>",
          clean(problem)));
}

std::string live_style() {
  return fmt::format("{}{}{}", kStyle, kReportStyle, kLiveStyle);
}

std::string live_script() {
  return fmt::format("{}{}", kPageScript, kLiveScript);
}

std::string_view content_security_policy() {
  return "default-src 'none'; script-src 'self'; style-src 'self' 'unsafe-inline'; img-src "
         "'self' data:; "
         "connect-src 'self'; form-action 'self'; base-uri 'none'; frame-ancestors 'none'";
}

}  // namespace retort::report
