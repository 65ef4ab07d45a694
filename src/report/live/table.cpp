#include "report/live/table.h"

#include <fmt/format.h>

#include <algorithm>
#include <array>
#include <charconv>
#include <cmath>
#include <functional>
#include <iterator>
#include <limits>
#include <span>
#include <string_view>
#include <vector>

#include "base/units.h"
#include "report/html.h"
#include "report/live/files.h"
#include "report/sections.h"
#include "report/svg.h"

namespace retort::report {
namespace {

using search::Outcome;
using search::StudyResult;
using search::TrialResult;

constexpr size_t kRowsOfAPage = 25;  // what comes below is in reach
constexpr size_t kLongestText = 200;

struct Column {
  std::string_view name;
  std::string_view title;
  double (*value)(const TrialResult&);  // what is sorted by; null: it is text and not sorted by
  std::string (*cell)(const TrialResult&);
  std::string_view cell_class = {};
};

double number(int64_t value) {
  return static_cast<double>(value);
}

constexpr Column kColumns[] = {
    {"number", "trial", [](const TrialResult& t) { return number(t.number); },
     [](const TrialResult& t) {
       return fmt::format("<a href='trial?number={0}'>{0}<span class=hidden>, details</span></a>", t.number);
     }},
    {"network", "network", nullptr, [](const TrialResult& t) { return clean(t.config); }, "left name"},
    {"outcome", "outcome", nullptr,
     [](const TrialResult& t) {
       return fmt::format("{}{}", search::to_string(t.outcome),
                          t.reason.empty() ? std::string() : ": " + clean(t.reason));
     },
     "left reason"},
    {"training", "training", nullptr,
     [](const TrialResult& t) { return std::string(search::to_string(t.effort)); }, "left"},
    {"quick", "quick", [](const TrialResult& t) { return t.quick_accuracy; },
     [](const TrialResult& t) { return percent(t.quick_accuracy); }},
    {"accuracy", "int8 validation", [](const TrialResult& t) { return t.accuracy_int8; },
     [](const TrialResult& t) { return percent(t.accuracy_int8); }},
    {"flash", "flash", [](const TrialResult& t) { return number(t.footprint.flash_bytes()); },
     [](const TrialResult& t) { return format_bytes(t.footprint.flash_bytes()); }},
    {"ram", "RAM", [](const TrialResult& t) { return number(t.footprint.ram_bytes()); },
     [](const TrialResult& t) { return format_bytes(t.footprint.ram_bytes()); }},
    {"macs", "MACs", [](const TrialResult& t) { return number(t.macs); },
     [](const TrialResult& t) { return format_count(t.macs); }},
    {"latency", "latency",
     [](const TrialResult& t) { return t.latency ? t.latency->milliseconds : search::kUnknown; },
     [](const TrialResult& t) { return t.latency ? cost::latency_text(*t.latency) : std::string("–"); }},
    {"parameters", "parameters", [](const TrialResult& t) { return number(t.parameters); },
     [](const TrialResult& t) { return format_integer(t.parameters); }},
    {"seconds", "seconds", [](const TrialResult& t) { return t.seconds; },
     [](const TrialResult& t) { return fmt::format("{:.0f}", t.seconds); }},
};

const Column* sortable(std::string_view name) {
  const auto* found = std::ranges::find(kColumns, name, &Column::name);
  return found == std::end(kColumns) || found->value == nullptr ? nullptr : found;
}

constexpr std::array kOutcomes = {Outcome::Complete, Outcome::Skipped, Outcome::Infeasible, Outcome::Failed};
constexpr std::array kEfforts = {search::Effort::Full, search::Effort::Recipe, search::Effort::Heat,
                                 search::Effort::Explore};

template <typename Names>
bool is_one_of(const Names& names, std::string_view text) {
  return std::ranges::any_of(names, [&](auto name) { return search::to_string(name) == text; });
}

// ASCII letters alone: configurations have no others.
std::string lower(std::string_view text) {
  std::string out(text);
  std::ranges::transform(out, out.begin(),
                         [](char c) { return c >= 'A' && c <= 'Z' ? static_cast<char>(c - 'A' + 'a') : c; });
  return out;
}

std::string url_encoded(std::string_view text) {
  std::string out;
  for (const char c : text) {
    const bool plain =
        (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9') || c == '-' || c == '.';
    out += plain ? std::string(1, c) : fmt::format("%{:02X}", static_cast<unsigned char>(c));
  }
  return out;
}

// Those that remain, in order; what is not known stands last either way.
std::vector<const TrialResult*> chosen(const StudyResult& study, const TrialQuery& query) {
  const std::string text = lower(query.text);
  std::vector<const TrialResult*> trials;
  for (const TrialResult& trial : study.trials) {
    if (!query.outcome.empty() && search::to_string(trial.outcome) != query.outcome) continue;
    if (!query.effort.empty() && search::to_string(trial.effort) != query.effort) continue;
    if (!text.empty() && lower(trial.config).find(text) == std::string::npos &&
        lower(trial.reason).find(text) == std::string::npos)
      continue;
    trials.push_back(&trial);
  }
  const Column* column = sortable(query.sort);
  std::ranges::stable_sort(trials, [&](const TrialResult* a, const TrialResult* b) {
    const double x = column->value(*a);
    const double y = column->value(*b);
    if (std::isnan(x) || std::isnan(y)) return !std::isnan(x) && std::isnan(y);
    return query.descending ? x > y : x < y;
  });
  return trials;
}

std::string head_cell(const Column& column, const TrialQuery& query) {
  const bool is_text = column.value == nullptr;
  if (is_text) return fmt::format("<th scope=col class=left>{}", column.title);
  const bool is_sorted = query.sort == column.name;
  TrialQuery next = query;
  next.sort = column.name;
  // Most are looked at for their best; a second click turns them around.
  const bool high_first = column.name == "accuracy" || column.name == "quick";
  next.descending = is_sorted ? !query.descending : high_first;
  next.from = 0;
  return fmt::format(
      "<th scope=col{}><a id=sort-{} href='{}'>{}{}</a>",
      is_sorted ? fmt::format(" aria-sort={}", query.descending ? "descending" : "ascending") : "",
      column.name, escape_xml(address_of(next)), column.title,
      is_sorted ? (query.descending ? " <span aria-hidden=true>↓</span>" : " <span aria-hidden=true>↑</span>")
                : "");
}

template <typename Names>
std::string choice(std::string_view label, std::string_view name, const Names& names,
                   std::string_view chosen_name) {
  std::string out = fmt::format("<label>{} <select name={}><option value=''>all", label, name);
  for (const auto value : names)
    out += fmt::format("<option{}>{}", search::to_string(value) == chosen_name ? " selected" : "",
                       search::to_string(value));
  return out + "</select></label> ";
}

std::string page_link(const TrialQuery& query, size_t from, std::string_view id, std::string_view label) {
  TrialQuery other = query;
  other.from = from;
  return fmt::format(" <a id={} href='{}'>{}</a>", id, escape_xml(address_of(other)), label);
}

std::string row(std::string_view name, const std::string& html) {
  return fmt::format("<tr><th scope=row class=left>{}<td class='left wrap'>{}</tr>", name, html);
}

std::string curve(const TrialResult& trial) {
  const ValidationCurve found = validation_curve(trial);
  if (found.percents.empty()) return {};
  Chart chart(
      "Validation accuracy through the stages",
      Axis{"epoch, all stages", 0, static_cast<double>(found.length) + 0.5, Scale::Linear, Ticks::Whole},
      fitted_axis("validation accuracy, %", found.percents, Scale::Linear));
  for (const auto& [start, name] : found.starts) chart.rule(start + 0.5, name);
  chart.line(found.epochs, found.percents, "#0072b2", trial.config);
  return "<section class=charts><div>" + chart.svg() + "</div></section>";
}

std::string stages_table(const TrialResult& trial) {
  if (trial.stages.empty()) return {};
  std::string rows =
      "<table><tr><th scope=col class=left>stage<th scope=col>epochs<th scope=col>validation<th "
      "scope=col>zeros<th scope=col>seconds</tr>";
  for (const search::StageResult& stage : trial.stages)
    rows += fmt::format("<tr><th scope=row class=left>{}<td>{}<td>{}<td>{:.0f}%<td>{:.0f}</tr>",
                        clean(stage.name), stage.trained, percent(stage.validation_accuracy),
                        stage.sparsity * 100, stage.seconds);
  return "<section><h2>Stages</h2>" + scroll("Stages", rows + "</table>") + "</section>";
}

}  // namespace

TrialQuery trial_query(const std::multimap<std::string, std::string>& parameters) {
  const auto value = [&](const char* name) {
    const auto found = parameters.find(name);
    return found == parameters.end() ? std::string() : found->second;
  };
  TrialQuery query;
  if (const std::string sort = value("sort"); sortable(sort) != nullptr) query.sort = sort;
  query.descending = value("order") == "desc";
  if (const std::string outcome = value("outcome"); is_one_of(kOutcomes, outcome)) query.outcome = outcome;
  if (const std::string effort = value("effort"); is_one_of(kEfforts, effort)) query.effort = effort;
  query.text = value("text").substr(0, kLongestText);
  const std::string from = value("from");
  size_t first = 0;
  if (std::from_chars(from.data(), from.data() + from.size(), first).ec == std::errc())
    query.from = first / kRowsOfAPage * kRowsOfAPage;
  return query;
}

std::string address_of(const TrialQuery& query) {
  std::string out = fmt::format("?sort={}&order={}", query.sort, query.descending ? "desc" : "asc");
  if (!query.outcome.empty()) out += "&outcome=" + query.outcome;
  if (!query.effort.empty()) out += "&effort=" + query.effort;
  if (!query.text.empty()) out += "&text=" + url_encoded(query.text);
  if (query.from > 0) out += fmt::format("&from={}", query.from);
  return out;
}

std::string trials_form(const TrialQuery& query) {
  return fmt::format(
      "<form method=get action=. class=filter><input type=hidden name=sort value={}><input type=hidden "
      "name=order value={}>"
      "{}{}<label>contains <input type=search name=text value='{}' maxlength={}></label> "
      "<button>Filter</button></form>",
      query.sort, query.descending ? "desc" : "asc", choice("outcome", "outcome", kOutcomes, query.outcome),
      choice("training", "effort", kEfforts, query.effort), clean(query.text), kLongestText);
}

std::string trials_table(const StudyResult& study, const TrialQuery& query) {
  const std::vector<const TrialResult*> trials = chosen(study, query);
  // A page that is no more: the last one.
  const size_t last = trials.empty() ? 0 : (trials.size() - 1) / kRowsOfAPage * kRowsOfAPage;
  const size_t from = std::min(query.from, last);
  const auto shown = std::span(trials).subspan(from, std::min(kRowsOfAPage, trials.size() - from));
  std::string out = fmt::format(
      "<p role=status>{} of {} trials{}.", format_integer(static_cast<int64_t>(trials.size())),
      format_integer(static_cast<int64_t>(study.trials.size())),
      trials.size() > shown.size() ? fmt::format(", {} to {} here", from + 1, from + shown.size()) : "");
  if (from > 0) out += page_link(query, from - kRowsOfAPage, "page-before", "Those before");
  if (from + kRowsOfAPage < trials.size())
    out += page_link(query, from + kRowsOfAPage, "page-next", "The next ones");
  out += "</p>";
  std::string table = "<table><thead><tr>";
  for (const Column& column : kColumns) table += head_cell(column, query);
  table += "</tr></thead><tbody>";
  for (const TrialResult* trial : shown) {
    table += fmt::format("<tr id=row-{}{}>", trial->number,
                         trial->outcome == Outcome::Complete ? "" : " class=quiet");
    for (const Column& column : kColumns)
      table += fmt::format(
          "<td{}>{}",
          column.cell_class.empty() ? std::string() : fmt::format(" class='{}'", column.cell_class),
          column.cell(*trial));
    table += "</tr>";
  }
  return out + scroll("Every network", table + "</tbody></table>");
}

std::string trial_body(const StudyResult& study, int number) {
  const TrialResult* trial = search::find_trial(study, number);
  if (trial == nullptr) return {};
  std::string out = fmt::format("<h1>Trial {}</h1><p>{}</p>", number, clean(trial->config));
  std::string rows = "<table>";
  for (const Column& column : kColumns)
    if (column.name != "number" && column.name != "network") rows += row(column.title, column.cell(*trial));
  rows += row("accuracy before quantising", percent(trial->accuracy_float));
  rows += row(".tflite", fmt::format("{} bytes", format_integer(trial->flash_bytes)));
  rows += row("arena on a Cortex-M4", fmt::format("{} bytes", format_integer(trial->arena_bytes_cortex_m4)));
  rows += row("zeros among the weights", fmt::format("{:.0f}%", trial->sparsity * 100));
  rows += row("seed", fmt::format("{}", trial->seed));
  if (trial->parent >= 0)
    rows += row("from trial", fmt::format("<a href='trial?number={0}'>{0}</a>", trial->parent));
  if (!trial->layers.empty()) rows += row("structure", structure_text(trial->layers));
  std::string files;
  for (const std::string& file : files_of(study, *trial))
    files += fmt::format("{}<a href='files/{}' download>{}</a>", files.empty() ? "" : ", ", escape_xml(file),
                         clean(file));
  if (!files.empty()) rows += row("files", files);
  out += scroll("Figures", rows + "</table>");
  out += curve(*trial) + stages_table(*trial);
  return out;
}

}  // namespace retort::report
