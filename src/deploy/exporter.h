// Packages: a model with the code that runs it, its self-test and its card, in the layout that some system
// expects.
#pragma once

#include <cstdint>
#include <functional>
#include <map>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "int8/quant_graph.h"

namespace retort::deploy {

// An image as bytes in the model's own height, width and channels, as training had it.
struct ExampleImage {
  std::vector<uint8_t> bytes;
  int label = -1;  // −1: not known
};

// A few of the images at `indices`, of different labels where there are: take(index) gives one.
std::vector<ExampleImage> example_images(std::span<const uint32_t> indices,
                                         const std::function<ExampleImage(uint32_t)>& take);

struct ModelToExport {
  const int8::QuantGraph& graph;    // has passed the reader's or the lowering's checks
  std::span<const uint8_t> tflite;  // its file
  std::string name = "model";       // prefix of every name: a C identifier in lower case
  std::string version = "1.0.0";    // of the package, for systems that want one: three numbers
  std::string about_json;           // best/model.json of a search, for the card; may be empty
  std::string command;              // that exports it, for the card; may be empty
  // For golden outputs and the example; without any, patterns are made up.
  std::vector<ExampleImage> images;
};

// By path within the package, with /.
using Files = std::map<std::string, std::string>;

// Writes one kind of package. Adding one: a file, a line in exporter.cpp's table, a test.
class Exporter {
 public:
  virtual ~Exporter() = default;
  // Throws Error(Usage) for what the target can't run.
  [[nodiscard]] virtual Files files(const ModelToExport& model) const = 0;
};

// "c", "tflm", "arduino", "esp-idf", "zephyr", "platformio".
std::vector<std::string> exporter_names();
// Throws Error(Usage) that lists the names.
const Exporter& exporter(std::string_view name);
// Whether such a package has a place for ModelToExport::version. Throws as exporter().
bool has_version(std::string_view name);

}  // namespace retort::deploy
