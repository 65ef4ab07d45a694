#include "search/analysis.h"

#include "base/base64.h"
#include "base/error.h"
#include "base/file.h"
#include "base/json.h"

namespace retort::search {
namespace {

namespace fs = std::filesystem;

// The confusion matrix of some thousand classes. Whoever gives a study away wrote the file.
constexpr uint64_t kMostAnalysisBytes = uint64_t{64} << 20U;

fs::path file_of(const fs::path& folder) {
  return folder / "analysis.json";
}

Json pictures_to_json(const std::vector<ShownImage>& images) {
  Json list = Json::array();
  for (const ShownImage& image : images)
    list.push_back({{"index", image.index},
                    {"file", image.file},
                    {"label", image.label},
                    {"guess", image.guess},
                    {"guess_probability", image.guess_probability},
                    {"label_probability", image.label_probability},
                    {"height", image.picture.height},
                    {"width", image.picture.width},
                    {"png", to_base64(image.picture.png)}});
  return list;
}

// Classes are below `classes`: whoever reads on uses them as indices.
std::vector<ShownImage> pictures_from_json(const Json& list, size_t classes) {
  const auto checked = [classes](int value) {
    if (value < 0 || static_cast<size_t>(value) >= classes) throw_failure("a class is {}", value);
    return value;
  };
  std::vector<ShownImage> images;
  for (const Json& image : list)
    images.push_back({.index = image.at("index"),
                      .file = image.at("file"),
                      .label = checked(image.at("label")),
                      .guess = checked(image.at("guess")),
                      .guess_probability = image.at("guess_probability"),
                      .label_probability = image.at("label_probability"),
                      .picture = {.height = image.at("height"),
                                  .width = image.at("width"),
                                  .png = from_base64(image.at("png").get_ref<const std::string&>())}});
  return images;
}

Json doubted_to_json(const DoubtedLabels& part) {
  return {{"images", part.images}, {"doubted", part.doubted}, {"most", pictures_to_json(part.most)}};
}

DoubtedLabels doubted_from_json(const Json& part, size_t classes) {
  return {.images = part.at("images"),
          .doubted = part.at("doubted"),
          .most = pictures_from_json(part.at("most"), classes)};
}

Analysis from_text(const std::string& text) {
  const Json in = parse_json(text);
  const Json& test = in.at("test");
  Analysis analysis{
      .trial = in.at("trial"),
      .seed = in.at("seed"),
      .mistakes = {.images = test.at("images"), .confusion = test.at("confusion"), .most_confident = {}},
      .labels = {}};
  const size_t classes = analysis.mistakes.confusion.size();
  for (const std::vector<int64_t>& row : analysis.mistakes.confusion)
    if (row.size() != classes) throw_failure("its confusion matrix is not square");
  constexpr int64_t kMost = int64_t{1} << 32U;  // images
  for (const std::vector<int64_t>& row : analysis.mistakes.confusion)
    for (const int64_t images : row)
      if (images < 0 || images > kMost) throw_failure("its confusion matrix counts {} images", images);
  analysis.mistakes.most_confident = pictures_from_json(test.at("most_confident"), classes);
  if (const Json& labels = in.at("labels"); !labels.is_null())
    analysis.labels = {.validation = doubted_from_json(labels.at("validation"), classes),
                       .train = doubted_from_json(labels.at("train"), classes)};
  return analysis;
}

}  // namespace

void save_analysis(const fs::path& folder, const Analysis& analysis) {
  Json labels;
  if (analysis.labels)
    labels = {{"validation", doubted_to_json(analysis.labels->validation)},
              {"train", doubted_to_json(analysis.labels->train)}};
  const Json out = {{"trial", analysis.trial},
                    {"seed", analysis.seed},
                    {"test",
                     {{"images", analysis.mistakes.images},
                      {"confusion", analysis.mistakes.confusion},
                      {"most_confident", pictures_to_json(analysis.mistakes.most_confident)}}},
                    {"labels", std::move(labels)}};
  write_text_atomic(file_of(folder), dump_json(out) + "\n");
}

std::optional<Analysis> load_analysis(const fs::path& folder) {
  const fs::path file = file_of(folder);
  if (!fs::exists(file)) return std::nullopt;
  try {
    return from_text(read_text(file, kMostAnalysisBytes));
  } catch (const std::exception& error) {
    throw_failure("{}: is damaged ({}); a search that ends writes it anew", file.string(), error.what());
  }
}

}  // namespace retort::search
