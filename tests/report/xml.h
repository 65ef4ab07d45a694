// Looking at XML in tests.
#pragma once

#include <string>
#include <string_view>
#include <vector>

namespace retort::report {

inline size_t count(const std::string& text, std::string_view part) {
  size_t found = 0;
  for (size_t at = text.find(part); at != std::string::npos; at = text.find(part, at + part.size())) ++found;
  return found;
}

// Every element that is opened is closed, in order: enough XML for what we write.
inline bool well_formed(const std::string& svg) {
  std::vector<std::string> open;
  for (size_t at = svg.find('<'); at != std::string::npos; at = svg.find('<', at + 1)) {
    const size_t end = svg.find('>', at);
    if (end == std::string::npos) return false;
    const bool closing = svg[at + 1] == '/';
    const size_t start = at + (closing ? 2 : 1);
    const std::string name = svg.substr(start, svg.find_first_of(" />", start) - start);
    if (closing) {
      if (open.empty() || open.back() != name) return false;
      open.pop_back();
    } else if (svg[end - 1] != '/') {
      open.push_back(name);
    }
  }
  return open.empty();
}

}  // namespace retort::report
