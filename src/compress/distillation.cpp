#include "compress/distillation.h"

#include <algorithm>
#include <array>
#include <cmath>
#include <utility>

#include "base/error.h"
#include "base/file.h"
#include "base/json.h"
#include "data/export.h"
#include "data/npy.h"

namespace retort::compress {
namespace {

// Images that the teacher sees at once.
constexpr size_t chunk_images = 512;

constexpr std::array<std::pair<std::string_view, Curriculum>, 3> curriculum_names{
    {{"none", Curriculum::None},
     {"entropy", Curriculum::Entropy},
     {"random-pacing", Curriculum::RandomPacing}}};

std::filesystem::path note_beside(std::filesystem::path npy) {
  return npy.replace_extension(".json");
}

// Numbers of the views that a note names. One of an earlier version names none, nor does a dataset.json: then
// one view is the image and two are the image and its mirror image; of more nobody knows which they are, since the
// order of views was another.
std::vector<int> views_of_note(const std::filesystem::path& npy, const Json& note, size_t count) {
  const auto found = note.find("views");
  if (found == note.end()) {
    if (count > 2)
      throw_usage(
          "{}: nothing says of which {} views of each image these logits are (an earlier version had views "
          "in "
          "another order): make them, or begin the search that they are of, anew",
          npy.string(), count);
    return count == 1 ? std::vector<int>{0} : std::vector<int>{0, 1};
  }
  std::vector<int> numbers;
  try {
    for (const Json& view : *found) {
      const auto number = data::view_number({.down = view.at("down").get<int>(),
                                             .right = view.at("right").get<int>(),
                                             .mirrored = view.at("mirrored").get<bool>()});
      if (!number)
        throw_usage("{}: has logits of a view that this version lacks (shifted by more than {} pixels)",
                    npy.string(), data::kMaxViewShift);
      numbers.push_back(*number);
    }
  } catch (const Json::exception&) {
    throw_usage(R"({}: "views" should list {{"down", "right", "mirrored"}} of each view)",
                note_beside(npy).string());
  }
  if (numbers.size() != count)
    throw_usage("{}: names {} views, and the logits beside it are of {}", note_beside(npy).string(),
                numbers.size(), count);
  return numbers;
}

// Rows in another order would teach nonsense, so logits that do not say whose they are teach nobody. Returns what the
// note says.
Json checked_note(const std::filesystem::path& npy, const data::Dataset& dataset) {
  std::filesystem::path note = note_beside(npy);
  if (!std::filesystem::exists(note)) note = npy.parent_path() / "dataset.json";
  if (!std::filesystem::exists(note))
    throw_usage(
        "{}: nothing says which images these logits belong to: put the dataset.json that `retort data export "
        "--npy` wrote with the images into the same folder",
        npy.string());
  Json json = Json::parse(read_text(note, data::kMostDescriptionBytes),
                          limit_json_depth(note.string(), kMostJsonLevels), false);
  const auto text = [&](const char* name) {
    const auto found = json.is_object() ? json.find(name) : json.end();
    return found != json.end() && found->is_string() ? found->get<std::string>() : std::string();
  };
  std::string hash = text("content_hash");
  if (hash.empty()) hash = text("data_sha256");  // as first written
  if (hash.empty())
    throw_usage(
        "{}: has no text \"content_hash\"; beside a teacher's logits belongs the dataset.json that `retort "
        "data "
        "export --npy` wrote",
        note.string());
  if (hash != dataset.content_hash)
    throw_usage("{}: the logits were made for other data ({}, hash {}; this is {}, hash {})", npy.string(),
                text("spec"), hash, dataset.spec, dataset.content_hash);
  return json;
}

// What Keras's predict gives behind a softmax: every row is a distribution.
bool are_probabilities(std::span<const float> values, size_t classes) {
  for (size_t at = 0; at < values.size(); at += classes) {
    double sum = 0;
    for (const float value : values.subspan(at, classes)) {
      if (value < 0 || value > 1) return false;
      sum += static_cast<double>(value);
    }
    if (std::abs(sum - 1) > 1e-3) return false;
  }
  return true;
}

}  // namespace

engine::TeacherLogits teacher_logits(engine::Network& teacher, const data::Dataset& dataset,
                                     const data::ViewOptions& views, ProgressSink& progress,
                                     std::stop_token stop) {
  const data::ImageSet& images = dataset.train;
  const size_t image_bytes = images.shape.bytes();
  if (image_bytes != static_cast<size_t>(teacher.graph().input_shape().size()))
    throw_usage("the teacher takes images of {} values, the data's have {}",
                teacher.graph().input_shape().size(), image_bytes);

  engine::TeacherLogits logits;
  logits.classes = teacher.graph().classes();
  logits.images = images.count();
  logits.views = data::view_numbers(views);
  const auto classes = static_cast<size_t>(logits.classes);
  logits.values.resize(logits.views.size() * logits.images * classes);
  std::vector<uint8_t> pixels(std::min(logits.images, chunk_images) * image_bytes);
  std::span<float> rest = logits.values;
  const auto total = static_cast<double>(logits.views.size() * logits.images);
  for (const int view : logits.views) {
    for (size_t begin = 0; begin < logits.images; begin += chunk_images) {
      if (stop.stop_requested())
        throw Error(ErrorCode::Interrupted, "computing the teacher's logits was interrupted");
      const size_t count = std::min(chunk_images, logits.images - begin);
      for (size_t i = 0; i < count; ++i)
        data::write_view(images.image(begin + i), images.shape, view,
                         std::span(pixels).subspan(i * image_bytes, image_bytes));
      const std::span<float> answers = rest.first(count * classes);
      teacher.predict(std::span(pixels).first(count * image_bytes), answers);
      if (!std::ranges::all_of(answers, [](float value) { return std::isfinite(value); }))
        throw_failure("the teacher's answers are not all finite numbers: its weights are too large");
      rest = rest.subspan(count * classes);
      const size_t left = rest.size() / classes;
      progress.update("teacher's logits", total - static_cast<double>(left), total, "");
    }
  }
  return logits;
}

void save_teacher_logits(const std::filesystem::path& npy, const engine::TeacherLogits& logits,
                         const data::Dataset& dataset) {
  std::vector<int64_t> shape{static_cast<int64_t>(logits.images), logits.classes};
  if (logits.views.size() > 1) shape.insert(shape.begin(), static_cast<int64_t>(logits.views.size()));
  data::write_npy(npy, shape, logits.values);
  Json note{{"spec", dataset.spec}, {"classes", dataset.classes}, {"content_hash", dataset.content_hash}};
  for (const int number : logits.views) {
    const data::ViewPlace place = data::view_place(number);
    note["views"].push_back({{"down", place.down}, {"right", place.right}, {"mirrored", place.mirrored}});
  }
  // Folder names need not be UTF-8; JSON must be.
  write_text_atomic(note_beside(npy), dump_json(note, 2) + "\n");
}

engine::TeacherLogits load_teacher_logits(const std::filesystem::path& npy, const data::Dataset& dataset) {
  const data::NpyArray array = data::read_npy(npy);
  if (array.dtype.size() < 2 || array.dtype[1] != 'f')
    throw_usage("{}: a teacher's logits are floating-point numbers, these are {}", npy.string(), array.dtype);
  const size_t dimensions = array.shape.size();
  if (dimensions != 2 && dimensions != 3)
    throw_usage(
        "{}: a teacher's logits are images × classes or views × images × classes, these have {} dimensions",
        npy.string(), dimensions);
  const auto images = static_cast<int64_t>(dataset.train.count());
  const auto classes = static_cast<int64_t>(dataset.classes.size());
  if (array.shape[dimensions - 2] != images)
    throw_usage("{}: logits for {} images; the data has {} training images", npy.string(),
                array.shape[dimensions - 2], images);
  if (array.shape[dimensions - 1] != classes)
    throw_usage("{}: logits for {} classes; the data has {}", npy.string(), array.shape[dimensions - 1],
                classes);
  const auto views = dimensions == 3 ? array.shape[0] : 1;
  if (views < 1 || views > data::kViewCount)
    throw_usage("{}: logits for {} views; 1 to {} are possible", npy.string(), views, data::kViewCount);
  const Json note = checked_note(npy, dataset);

  engine::TeacherLogits logits{static_cast<int>(classes), dataset.train.count(),
                               views_of_note(npy, note, static_cast<size_t>(views)), array.as_float()};
  const auto bad =
      std::find_if(logits.values.begin(), logits.values.end(), [](float v) { return !std::isfinite(v); });
  if (bad != logits.values.end())
    throw_usage("{}: the logits of row {} hold {}; finite numbers are needed", npy.string(),
                (bad - logits.values.begin()) / classes, *bad);
  // Taken for logits they would teach that all classes are nearly alike.
  if (are_probabilities(logits.values, static_cast<size_t>(classes)))
    throw_usage(
        "{}: holds probabilities (every row sums to 1) where logits are expected: store what the teacher "
        "gives "
        "before its softmax, or the probabilities' logarithms",
        npy.string());
  return logits;
}

Curriculum parse_curriculum(std::string_view name) {
  for (const auto& [known, curriculum] : curriculum_names)
    if (known == name) return curriculum;
  throw_usage("there is no curriculum '{}'; known: none, entropy, random-pacing", name);
}

std::string_view to_string(Curriculum curriculum) {
  for (const auto& [name, known] : curriculum_names)
    if (known == curriculum) return name;
  return "?";
}

}  // namespace retort::compress
