#include "cli/problem_text.h"

#include <fmt/ranges.h>

#include <algorithm>
#include <map>
#include <string_view>
#include <tuple>

#include "base/json.h"
#include "cli/text.h"

namespace retort::cli {
namespace {

constexpr int kMostColumns = 100;  // of a line

// "0, 2–4": of ascending numbers.
std::string ranges_text(const std::vector<int>& numbers) {
  constexpr size_t kMostParts = 64;
  std::vector<std::string> parts;
  for (size_t i = 0; i < numbers.size();) {
    if (parts.size() == kMostParts) {
      parts.push_back(fmt::format("{} more", numbers.size() - i));
      break;
    }
    size_t last = i;
    while (last + 1 < numbers.size() && numbers[last + 1] == numbers[last] + 1) ++last;
    parts.push_back(last == i ? std::to_string(numbers[i])
                              : fmt::format("{}{}{}", numbers[i], last == i + 1 ? ", " : "–", numbers[last]));
    i = last + 1;
  }
  return fmt::format("{}", fmt::join(parts, ", "));
}

// Lines of at most 100 columns, broken at spaces.
std::string wrapped(std::string_view text, std::string_view first, std::string_view next) {
  std::string all;
  std::string line(first);
  bool empty = true;
  while (!text.empty()) {
    const std::string_view word = text.substr(0, text.find(' '));
    if (!empty && display_columns(line) + 1 + display_columns(word) > kMostColumns) {
      all += line + "\n";
      line = next;
      empty = true;
    }
    line += empty ? "" : " ";
    line += word;
    empty = false;
    text.remove_prefix(std::min(word.size() + 1, text.size()));
  }
  return all + line + "\n";
}

}  // namespace

std::string problems_text(const std::vector<int8::Problem>& problems,
                          const std::vector<std::string>& operator_names) {
  using Place = int8::Problem::Place;
  struct Group {
    const int8::Problem* problem;
    std::vector<int> tensors;
    std::map<std::string, std::vector<int>> operators;  // by name
  };
  std::vector<Group> groups;
  std::map<std::tuple<Place, std::string_view, std::string_view>, size_t> known;
  for (const int8::Problem& problem : problems) {
    const auto [entry, is_new] =
        known.try_emplace({problem.place, problem.why, problem.remedy}, groups.size());
    if (is_new) groups.push_back({&problem, {}, {}});
    Group& group = groups[entry->second];
    if (problem.place == Place::Tensor) group.tensors.push_back(problem.index);
    if (problem.place == Place::Operator)
      group.operators[operator_names.at(static_cast<size_t>(problem.index))].push_back(problem.index);
  }
  std::string text = "not supported:\n";
  for (const Group& group : groups) {
    const int8::Problem& problem = *group.problem;
    std::string what = problem.subject + (problem.subject.empty() ? "" : " ") + problem.why;
    if (group.tensors.size() > 1)
      what = fmt::format("each of the tensors {} {}", ranges_text(group.tensors), problem.why);
    if (problem.place == Place::Operator) {
      std::vector<std::string> parts;
      for (const auto& [name, numbers] : group.operators)
        parts.push_back(
            fmt::format("{} (operator{} {})", name, numbers.size() > 1 ? "s" : "", ranges_text(numbers)));
      what = fmt::format("{}: {}", fmt::join(parts, ", "), problem.why);
    }
    text += wrapped(what, "  ", "    ");
    if (!problem.remedy.empty()) text += wrapped(problem.remedy, "    → ", "      ");
  }
  return text;
}

Json problems_json(const std::vector<int8::Problem>& problems) {
  Json list = Json::array();
  for (const int8::Problem& problem : problems) {
    Json one = {{"why", problem.why}};
    if (!problem.remedy.empty()) one["instead"] = problem.remedy;
    if (!problem.subject.empty()) one["subject"] = problem.subject;
    if (problem.place == int8::Problem::Place::Tensor) one["tensor"] = problem.index;
    if (problem.place == int8::Problem::Place::Operator) one["operator"] = problem.index;
    list.push_back(std::move(one));
  }
  return list;
}

}  // namespace retort::cli
