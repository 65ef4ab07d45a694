// The way to a page's sections.
#include <fmt/format.h>

#include <array>
#include <utility>

#include "report/sections.h"

namespace retort::report {

std::string contents(std::string_view body) {
  constexpr std::array kNames = {std::pair{"now", "Now"},
                                 std::pair{"front", "What accuracy costs"},
                                 std::pair{"trials", "Every network"},  // of the live page
                                 std::pair{"progress", "How the search went"},
                                 std::pair{"stages", "Stages"},
                                 std::pair{"top", "Top models"},
                                 std::pair{"models", "Each of them"},
                                 std::pair{"mistakes", "Mistakes"},
                                 std::pair{"labels", "Doubted labels"},
                                 std::pair{"use", "What to do with it"},
                                 std::pair{"explored", "Exploration"},
                                 std::pair{"networks", "Every network"},
                                 std::pair{"settings", "Settings"},
                                 std::pair{"files", "Files"}};
  std::string links;
  for (const auto& [id, name] : kNames)
    if (body.find(fmt::format("<section id={}>", id)) != std::string_view::npos)
      links += fmt::format("<a href='#{}'>{}</a>", id, name);
  return "<nav aria-label=Contents>" + links + "</nav>";
}

}  // namespace retort::report
