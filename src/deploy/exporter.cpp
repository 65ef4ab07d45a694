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

enum class Version { Told, NoPlace };

struct Entry {
  std::string_view name;
  Version version;
  std::unique_ptr<Exporter> exporter;
};

const std::array<Entry, 6>& table() {
  static const std::array<Entry, 6> entries = {{
      {"c", Version::NoPlace, make_c_exporter()},
      {"tflm", Version::NoPlace, make_tflm_exporter()},
      {"arduino", Version::Told, make_arduino_exporter()},
      {"esp-idf", Version::Told, make_esp_idf_exporter()},
      {"zephyr", Version::NoPlace, make_zephyr_exporter()},
      {"platformio", Version::Told, make_platformio_exporter()},
  }};
  return entries;
}

const Entry& entry_of(std::string_view name) {
  for (const Entry& entry : table())
    if (entry.name == name) return entry;
  throw_usage("\"{}\" is no kind of package; there are {}", name, fmt::join(exporter_names(), ", "));
}

}  // namespace

std::vector<std::string> exporter_names() {
  std::vector<std::string> names;
  for (const Entry& entry : table()) names.emplace_back(entry.name);
  return names;
}

const Exporter& exporter(std::string_view name) {
  return *entry_of(name).exporter;
}

bool has_version(std::string_view name) {
  return entry_of(name).version == Version::Told;
}

}  // namespace retort::deploy
