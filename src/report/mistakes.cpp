// What the exported model gets wrong, and which labels its teacher doubts.
#include <fmt/format.h>

#include <algorithm>
#include <iterator>
#include <numeric>

#include "base/base64.h"
#include "base/units.h"
#include "report/html.h"
#include "report/sections.h"

namespace retort::report {
namespace {

using search::Analysis;
using search::DoubtedLabels;
using search::ShownImage;
using search::StudyResult;

constexpr size_t kLargestMatrix = 32;  // classes
constexpr size_t kMostPairs = 12;
constexpr size_t kMostClasses = 200;  // in the table of classes

const std::string& class_name(const StudyResult& study, int index) {
  return study.classes.at(static_cast<size_t>(index));
}

// A picture, and what the data and the network say of it.
std::string figure(const StudyResult& study, const ShownImage& image, std::string_view set) {
  const data::Thumbnail& picture = image.picture;
  const std::string name =
      image.file.empty() ? fmt::format("{} image {}", set, image.index) : clean(image.file);
  return fmt::format(
      "<figure class=wide><img class='picture{}' loading=lazy width={} height={} alt='{}' "
      "src='data:image/png;base64,{}'><figcaption>labelled <b>{}</b> ({:.1f}%)<br>taken for <b>{}</b> "
      "({:.1f}%)<br>"
      "{}</figcaption></figure>",
      std::max(picture.height, picture.width) < 84 ? " small" : "", picture.width, picture.height, name,
      to_base64(picture.png), clean(class_name(study, image.label)), image.label_probability * 100,
      clean(class_name(study, image.guess)), image.guess_probability * 100, name);
}

std::string figures(const StudyResult& study, const std::vector<ShownImage>& images, std::string_view set) {
  std::string out = "<div class=pictures>";
  for (const ShownImage& image : images) out += figure(study, image, set);
  return out + "</div>";
}

std::string share(int64_t part, int64_t whole) {
  return whole == 0 ? std::string("–")
                    : fmt::format("{:.1f}%", 100 * static_cast<double>(part) / static_cast<double>(whole));
}

std::string matrix(const StudyResult& study, const std::vector<std::vector<int64_t>>& confusion) {
  std::string table = "<table class=matrix><thead><tr><th scope=col>label \\ taken for";
  for (const std::string& name : study.classes) table += fmt::format("<th scope=col>{}", clean(name));
  table += "</tr></thead><tbody>";
  for (size_t label = 0; label < confusion.size(); ++label) {
    const int64_t images = std::accumulate(confusion[label].begin(), confusion[label].end(), int64_t{0});
    table += fmt::format("<tr><th scope=row>{}", clean(study.classes[label]));
    for (size_t guess = 0; guess < confusion.size(); ++guess) {
      const int64_t count = confusion[label][guess];
      // At most a third of the accent's colour, so that the numbers stay readable; small shares show.
      const double part = images == 0 ? 0 : static_cast<double>(count) / static_cast<double>(images);
      table +=
          fmt::format("<td{} style='--share:{:.0f}%'>{}", label == guess ? " class=right" : "",
                      count == 0 ? 0 : 4 + 30 * part, count == 0 ? std::string("·") : format_integer(count));
    }
    table += "</tr>";
  }
  return scroll("Confusion matrix", table + "</tbody></table>");
}

// The most frequent confusions: what a matrix of many classes would hide.
std::string pairs(const StudyResult& study, const std::vector<std::vector<int64_t>>& confusion) {
  struct Pair {
    int64_t count = 0;
    int label = 0;
    int guess = 0;
  };
  std::vector<Pair> all;
  for (size_t label = 0; label < confusion.size(); ++label)
    for (size_t guess = 0; guess < confusion.size(); ++guess)
      if (label != guess && confusion[label][guess] > 0)
        all.push_back({confusion[label][guess], static_cast<int>(label), static_cast<int>(guess)});
  if (all.empty()) return {};
  std::ranges::stable_sort(all, std::ranges::greater(), &Pair::count);
  std::string out = "<p>Most often confused: ";
  for (size_t i = 0; i < std::min(all.size(), kMostPairs); ++i)
    fmt::format_to(std::back_inserter(out), "{}{} taken for {} ({})", i == 0 ? "" : ", ",
                   clean(class_name(study, all[i].label)), clean(class_name(study, all[i].guess)),
                   format_integer(all[i].count));
  return out + ".</p>";
}

std::string class_table(const StudyResult& study, const std::vector<std::vector<int64_t>>& confusion) {
  std::string table =
      "<table><thead><tr><th scope=col>Class<th scope=col>test images<th scope=col>right<th scope=col>of "
      "them (recall)"
      "<th scope=col class=left>recall<th scope=col>of those taken for it (precision)</tr></thead><tbody>";
  for (size_t label = 0; label < std::min(confusion.size(), kMostClasses); ++label) {
    const int64_t images = std::accumulate(confusion[label].begin(), confusion[label].end(), int64_t{0});
    int64_t taken = 0;
    for (const std::vector<int64_t>& row : confusion) taken += row[label];
    const int64_t right = confusion[label][label];
    table += fmt::format("<tr><td>{}<td>{}<td>{}<td>{}<td class=bar><i style='width:{:.1f}%'></i><td>{}</tr>",
                         clean(study.classes[label]), format_integer(images), format_integer(right),
                         share(right, images),
                         images == 0 ? 0 : 100 * static_cast<double>(right) / static_cast<double>(images),
                         share(right, taken));
  }
  std::string out = scroll("Accuracy of each class", table + "</tbody></table>");
  if (confusion.size() > kMostClasses)
    out += fmt::format("<p class=muted>The first {} of {} classes.</p>", kMostClasses, confusion.size());
  return out;
}

// A teacher that knows little doubts much.
constexpr double kCredible = 0.2;  // share of the validation images

std::string doubted(const StudyResult& study, const DoubtedLabels& part, std::string_view set) {
  std::string out = fmt::format("<h3>{} of {} {} images ({})</h3>", format_integer(part.doubted),
                                format_integer(part.images), set, share(part.doubted, part.images));
  return part.most.empty() ? out : out + figures(study, part.most, set);
}

}  // namespace

std::string mistakes_section(const StudyResult& study, const Analysis& analysis) {
  const std::vector<std::vector<int64_t>>& confusion = analysis.mistakes.confusion;
  int64_t right = 0;
  for (size_t label = 0; label < confusion.size(); ++label) right += confusion[label][label];
  const int64_t wrong = analysis.mistakes.images - right;
  std::string out = fmt::format(
      "<section id=mistakes><h2>What the exported model gets wrong</h2><p>{} of {} test images ({}), "
      "computed by the "
      "int8 file.</p>{}",
      format_integer(wrong), format_integer(analysis.mistakes.images), share(wrong, analysis.mistakes.images),
      pairs(study, confusion));
  if (confusion.size() <= kLargestMatrix) out += matrix(study, confusion);
  out += "<h3>Each class</h3>" + class_table(study, confusion);
  if (!analysis.mistakes.most_confident.empty())
    out += fmt::format("<h3>The {} of which it was surest</h3>{}", analysis.mistakes.most_confident.size(),
                       figures(study, analysis.mistakes.most_confident, "test"));
  return out + "</section>";
}

std::string labels_section(const StudyResult& study, const Analysis& analysis) {
  if (!analysis.labels) return {};
  const auto& [validation, train] = *analysis.labels;
  std::string out = fmt::format(
      "<section id=labels><h2>Labels that the teacher doubts</h2><p>Worth a look before more is trained: a "
      "wrong label teaches what is wrong, and in the test set it makes a right answer count as a mistake. A "
      "label is doubted where the teacher ({}) is as sure of another class as it is on average of that "
      "class's own images (confident learning, Northcutt et al., 2021). The surest are shown; percentages "
      "are the teacher's.</p>",
      clean(study.teacher.source));
  if (static_cast<double>(validation.doubted) > kCredible * static_cast<double>(validation.images))
    out += fmt::format(
        "<p><b>So many doubts say more of the teacher, which is right on {} of the validation images, "
        "than of the labels.</b></p>",
        percent(study.teacher.validation_accuracy));
  out += doubted(study, validation, "validation") + doubted(study, train, "training") + "<p class=muted>";
  if (study.teacher.source == "trained")
    out +=
        "The teacher was trained on the training images and not on the validation images, so the method "
        "holds for the latter. Of images that it was trained on it has learned wrong labels, too: they are "
        "judged by averages of their own, fewer are found, and a teacher trained for long finds none.";
  else
    out +=
        "The teacher comes from elsewhere: of images that it was trained on it may have learned wrong "
        "labels, too, and then finds fewer of them.";
  return out +
         " The test set's labels are not looked at. Where images are no files, their number counts from 0 in "
         "the order in which the data is read, training, validation and a split-off test set "
         "together.</p></section>";
}

}  // namespace retort::report
