#include "base/control_groups.h"

#include <fmt/format.h>

#include <fstream>
#include <string>

namespace retort {

namespace fs = std::filesystem;

void for_each_group(std::string_view controller, const fs::path& mount, const fs::path& own_groups,
                    const std::function<void(const fs::path&)>& visit) {
  std::ifstream lines(own_groups);
  for (std::string line; std::getline(lines, line);) {  // hierarchy:controllers:group
    const size_t first = line.find(':');
    const size_t second = line.find(':', first + 1);
    if (first == std::string::npos || second == std::string::npos) continue;
    const std::string controllers = line.substr(first + 1, second - first - 1);
    // Version 2 has one hierarchy, for all controllers.
    if (!controllers.empty() &&
        fmt::format(",{},", controllers).find(fmt::format(",{},", controller)) == std::string::npos)
      continue;
    fs::path folder = controllers.empty() ? mount : mount / controllers;
    visit(folder);
    for (const fs::path& part : fs::path(line.substr(second + 1)).relative_path()) visit(folder /= part);
  }
}

}  // namespace retort
