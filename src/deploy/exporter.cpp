#include "deploy/exporter.h"

#include <fmt/ranges.h>

#include <algorithm>
#include <array>
#include <memory>
#include <utility>

#include "base/error.h"
#include "deploy/exporters.h"

namespace retort::deploy {

namespace {

struct Entry {
  std::string_view name;
  std::unique_ptr<Exporter> exporter;
};

const std::array<Entry, 2>& table() {
  static const std::array<Entry, 2> entries = {{
      {"c", make_c_exporter()},
      {"tflm", make_tflm_exporter()},
  }};
  return entries;
}

}  // namespace

std::vector<std::string> exporter_names() {
  std::vector<std::string> names;
  for (const Entry& entry : table()) names.emplace_back(entry.name);
  return names;
}

const Exporter& exporter(std::string_view name) {
  for (const Entry& entry : table())
    if (entry.name == name) return *entry.exporter;
  throw_usage("\"{}\" is no kind of package; there are {}", name, fmt::join(exporter_names(), ", "));
}

}  // namespace retort::deploy
