// `c`: the code in one folder, with a program that classifies a stored image and a Makefile that tests it.
#include "deploy/exporters.h"
#include "deploy/package.h"

namespace retort::deploy {

namespace {

class CExporter final : public Exporter {
 public:
  [[nodiscard]] Files files(const ModelToExport& model) const override {
    Files files;
    add_c_code(files, model, "", "");
    Words words = words_of(model);
    words.emplace_back("image_object", takes_images(model.graph) ? " " + model.name + "_image.o" : "");
    files["example/main.c"] = filled_in("example_main.c", words);
    files["Makefile"] = filled_in("Makefile", words);
    files["README.md"] = filled_in("c_readme.md", words);
    files["MODEL_CARD.md"] = card_text(model);
    return files;
  }
};

}  // namespace

std::unique_ptr<Exporter> make_c_exporter() {
  return std::make_unique<CExporter>();
}

}  // namespace retort::deploy
