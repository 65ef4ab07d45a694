// Packages of C code: `c`, and the layouts of Arduino, ESP-IDF, Zephyr and PlatformIO. They differ only in
// where files lie and in what a system wants told about them.
#include <fmt/format.h>
#include <fmt/ranges.h>

#include <algorithm>
#include <utility>

#include "deploy/exporters.h"
#include "deploy/package.h"

namespace retort::deploy {

namespace {

struct Text {
  std::string_view path;
  std::string_view text;  // of deploy/runtime
};

struct Layout {
  std::string headers;               // folder, "" or with / at its end
  std::string sources;               // folder
  std::string example;               // folder of the example's program
  std::string headers_from_example;  // how it reaches them: "" where the system has them in its search path
  std::vector<Text> texts;
};

Layout c_layout() {
  return {.headers = "",
          .sources = "",
          .example = "example/",
          .headers_from_example = "../",
          .texts = {
              {"README.md", "c_readme.md"}, {"Makefile", "Makefile"}, {"example/main.c", "example_main.c"}}};
}

Layout arduino_layout() {
  return {.headers = "src/",
          .sources = "src/",
          .example = "examples/classify/",
          .headers_from_example = "",
          .texts = {{"README.md", "arduino_readme.md"},
                    {"library.properties", "arduino_library.properties"},
                    {"keywords.txt", "arduino_keywords.txt"},
                    {"examples/classify/classify.ino", "arduino_classify.ino"}}};
}

Layout esp_idf_layout() {
  return {.headers = "include/",
          .sources = "src/",
          .example = "examples/classify/main/",
          .headers_from_example = "",
          .texts = {{"README.md", "esp_idf_readme.md"},
                    {"CMakeLists.txt", "esp_idf_CMakeLists.txt"},
                    {"idf_component.yml", "esp_idf_component.yml"},
                    {"examples/classify/CMakeLists.txt", "esp_idf_project.txt"},
                    {"examples/classify/main/CMakeLists.txt", "esp_idf_main.txt"},
                    {"examples/classify/main/idf_component.yml", "esp_idf_main.yml"},
                    {"examples/classify/main/main.c", "esp_idf_main.c"}}};
}

Layout zephyr_layout() {
  return {.headers = "include/",
          .sources = "src/",
          .example = "samples/classify/src/",
          .headers_from_example = "",
          .texts = {{"README.md", "zephyr_readme.md"},
                    {"zephyr/module.yml", "zephyr_module.yml"},
                    {"CMakeLists.txt", "zephyr_CMakeLists.txt"},
                    {"Kconfig", "zephyr_Kconfig"},
                    {"samples/classify/CMakeLists.txt", "zephyr_sample.txt"},
                    {"samples/classify/prj.conf", "zephyr_prj.conf"},
                    {"samples/classify/sample.yaml", "zephyr_sample.yaml"},
                    {"samples/classify/src/main.c", "zephyr_main.c"}}};
}

Layout platformio_layout() {
  return {.headers = "include/",
          .sources = "src/",
          .example = "examples/classify/src/",
          .headers_from_example = "",
          .texts = {{"README.md", "platformio_readme.md"},
                    {"library.json", "platformio_library.json"},
                    {"examples/classify/platformio.ini", "platformio.ini"},
                    {"examples/classify/src/main.cpp", "arduino_classify.ino"}}};
}

class PackageExporter final : public Exporter {
 public:
  explicit PackageExporter(Layout layout) : layout_(std::move(layout)) {}

  [[nodiscard]] Files files(const ModelToExport& model) const override {
    Files files;
    const Golden made = golden(model);
    add_c_code(files, model, made, layout_.headers, layout_.sources);
    if (takes_images(model.graph)) files[layout_.example + "stored_image.h"] = stored_image_text(model, made);
    const Words words = all_words(model, made, files);
    for (const Text& text : layout_.texts) files[std::string(text.path)] = filled_in(text.text, words);
    files["MODEL_CARD.md"] = card_text(model);
    files["LICENSE"] = filled_in("LICENSE", {});
    return files;
  }

 private:
  [[nodiscard]] Words all_words(const ModelToExport& model, const Golden& made, const Files& files) const {
    const bool images = takes_images(model.graph);
    Words words = words_of(model);
    const auto add = [&](std::string_view word, std::string text) {
      words.emplace_back(word, std::move(text));
    };
    add("class", std::to_string(predicted_class(model, made, 0)));
    add("image_object", images ? fmt::format(" {}_image.o", model.name) : "");
    add("image_row", images ? filled_in("readme_image_row.md", words) : "");
    add("image_include", images ? fmt::format("#include \"{}{}_image.h\"\n#include \"stored_image.h\"\n",
                                              layout_.headers_from_example, model.name)
                                : "");
    add("image_text", images ? filled_in("readme_image.md", words) : "");
    add("fill", filled_in(images ? "example_image.c" : "example_input.c", words));
    add("core", filled_in("example_core.c", words));
    add("common", filled_in("readme_common.md", words));
    std::string module = model.name;  // Zephyr's names of modules have dashes
    std::replace(module.begin(), module.end(), '_', '-');
    add("module", module);
    std::vector<std::string> sources;
    std::vector<std::string> example_files;
    const std::string project = "examples/classify/";
    for (const auto& [path, content] : files) {
      if (path.starts_with(layout_.sources) && path.ends_with(".c")) sources.push_back(path);
      if (path.starts_with(project)) example_files.push_back(path.substr(project.size()));
    }
    add("sources", fmt::format("\"{}\"", fmt::join(sources, "\" \"")));
    for (const Text& text : layout_.texts)
      if (text.path.starts_with(project)) example_files.emplace_back(text.path.substr(project.size()));
    std::sort(example_files.begin(), example_files.end());
    add("example_files", fmt::format("[\"{}\"]", fmt::join(example_files, "\", \"")));
    return words;
  }

  Layout layout_;
};

}  // namespace

std::unique_ptr<Exporter> make_c_exporter() {
  return std::make_unique<PackageExporter>(c_layout());
}
std::unique_ptr<Exporter> make_arduino_exporter() {
  return std::make_unique<PackageExporter>(arduino_layout());
}
std::unique_ptr<Exporter> make_esp_idf_exporter() {
  return std::make_unique<PackageExporter>(esp_idf_layout());
}
std::unique_ptr<Exporter> make_zephyr_exporter() {
  return std::make_unique<PackageExporter>(zephyr_layout());
}
std::unique_ptr<Exporter> make_platformio_exporter() {
  return std::make_unique<PackageExporter>(platformio_layout());
}

}  // namespace retort::deploy
