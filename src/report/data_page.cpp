#include "report/data_page.h"

#include <fmt/format.h>

#include <algorithm>
#include <cstdint>
#include <filesystem>
#include <fstream>
#include <functional>
#include <iterator>
#include <numeric>
#include <span>
#include <string_view>
#include <vector>

#include "base/base64.h"
#include "base/units.h"
#include "data/thumbnail.h"
#include "report/html.h"
#include "report/page.h"

namespace retort::report {
namespace {

using data::Copies;
using data::CopyKind;
using data::Finding;
using data::ImageReference;
using data::Inspection;

constexpr size_t kSamplePictures = 480;  // over all classes
constexpr size_t kMostSamplesOfAClass = 12;
constexpr size_t kMostBroken = 48;
constexpr size_t kMostGroups = 40;
constexpr size_t kMostOfAGroup = 6;
constexpr size_t kMostExamples = 200;
constexpr int kLargestSide = 128;  // of a picture in the page

constexpr std::string_view kDataStyle = R"(
.cards{grid-template-columns:repeat(auto-fit,minmax(130px,1fr))}
.verdict{border-left:5px solid var(--good);background:var(--card);padding:10px 14px;border-radius:4px;margin:14px 0}.verdict.bad{border-color:var(--bad);background:var(--badpaper)}
.verdict b{font-size:18px}ul.findings{padding-left:20px}ul.findings li{margin:8px 0}li details{margin-top:4px;font-size:13px}li ul{overflow-wrap:anywhere;color:var(--muted)}
.none{display:flex;align-items:center;justify-content:center;color:var(--muted);font-size:12px;text-align:center;border-style:dashed}
h3 span{color:var(--muted);font-weight:400}
.group .pictures{display:grid;grid-template-columns:repeat(auto-fill,minmax(120px,1fr))}.group figure.wide{width:auto}.group{border:1px solid var(--grid);border-radius:8px;padding:8px 12px;margin:10px 0}.group .pictures{margin:6px 0}.tag{color:var(--bad);font-weight:600}.plain{color:var(--muted);font-weight:600}
td:first-child{white-space:normal;overflow-wrap:anywhere;min-width:90px}
)";

std::string img(const Inspection& inspection, ImageReference image) {
  const data::ImageSet& set =
      image.set == data::SetName::Train ? inspection.dataset->train : inspection.dataset->test;
  const data::Thumbnail picture = data::thumbnail(set.image(image.index), set.shape, kLargestSide);
  return fmt::format(
      "<img class='picture{}' loading=lazy width={} height={} alt='{}' src='data:image/png;base64,{}'>",
      std::max(picture.height, picture.width) < 84 ? " small" : "", picture.width, picture.height,
      clean(data::surveyed(inspection, image).name), to_base64(picture.png));
}

// The last two parts of a path are enough to find a file by: its class and its name.
std::string short_name(const std::string& name) {
  const size_t slash = name.rfind('/');
  if (slash == std::string::npos || slash == 0) return name;
  const size_t before = name.rfind('/', slash - 1);
  return before == std::string::npos ? name : "…" + name.substr(before);
}

void add_findings(std::string& out, std::string_view title, const std::vector<Finding>& findings) {
  if (findings.empty()) return;
  fmt::format_to(std::back_inserter(out), "<section><h2>{}</h2><ul class=findings>", title);
  for (const Finding& finding : findings) {
    fmt::format_to(std::back_inserter(out), "<li>{}", clean(finding.sentence));
    if (!finding.examples.empty()) {
      fmt::format_to(std::back_inserter(out), "<details><summary>Which ones</summary><ul>");
      for (size_t i = 0; i < std::min(finding.examples.size(), kMostExamples); ++i)
        fmt::format_to(std::back_inserter(out), "<li>{}", clean(finding.examples[i]));
      if (finding.examples.size() > kMostExamples)
        fmt::format_to(std::back_inserter(out), "<li>and {} more", finding.examples.size() - kMostExamples);
      out += "</ul></details>";
    }
  }
  out += "</ul></section>";
}

void add_classes(std::string& out, const Inspection& inspection) {
  const data::Dataset& dataset = *inspection.dataset;
  const bool test = dataset.test.count() > 0;
  const int64_t largest = std::max<int64_t>(1, *std::ranges::max_element(inspection.train_counts));
  fmt::format_to(
      std::back_inserter(out),
      "<section><h2>Classes</h2><div class=scroll tabindex=0 role=region aria-label='Images a class'>"
      "<table><thead><tr><th scope=col>Class<th scope=col>training{}<th scope=col class=left>training "
      "images</tr></thead><tbody>",
      test ? "<th scope=col>test" : "");
  for (size_t c = 0; c < dataset.classes.size(); ++c) {
    fmt::format_to(std::back_inserter(out), "<tr><td>{}<td>{}", clean(dataset.classes[c]),
                   format_integer(inspection.train_counts[c]));
    if (test) fmt::format_to(std::back_inserter(out), "<td>{}", format_integer(inspection.test_counts[c]));
    fmt::format_to(std::back_inserter(out), "<td class=bar><i style='width:{:.1f}%'></i></tr>",
                   100 * static_cast<double>(inspection.train_counts[c]) / static_cast<double>(largest));
  }
  out += "</tbody></table></div></section>";
}

// Evenly from the first to the last of each class, so that a folder's order shows.
void add_samples(std::string& out, const Inspection& inspection) {
  const data::Dataset& dataset = *inspection.dataset;
  const size_t shown = std::min(dataset.classes.size(), kSamplePictures);
  const size_t each = std::clamp(kSamplePictures / shown, size_t{1}, kMostSamplesOfAClass);
  std::vector<std::vector<uint32_t>> of_class(dataset.classes.size());
  for (uint32_t i = 0; i < dataset.train.count(); ++i) of_class[dataset.train.labels[i]].push_back(i);
  fmt::format_to(
      std::back_inserter(out),
      "<section><h2>A sample of each class</h2><p class=muted>As a network would see them: {}x{}, {}.{}</p>",
      dataset.train.shape.height, dataset.train.shape.width,
      dataset.train.shape.channels == 1   ? "grey"
      : dataset.train.shape.channels == 3 ? "in colour"
                                          : "the first channel",
      shown < dataset.classes.size()
          ? fmt::format(" The first {} of {} classes.", shown, dataset.classes.size())
          : "");
  for (size_t c = 0; c < shown; ++c) {
    const std::vector<uint32_t>& images = of_class[c];
    fmt::format_to(std::back_inserter(out), "<h3>{} <span>{}</span></h3><div class=pictures>",
                   clean(dataset.classes[c]), format_integer(static_cast<int64_t>(images.size())));
    const size_t count = std::min(each, images.size());
    for (size_t i = 0; i < count; ++i)
      out += img(inspection, {data::SetName::Train, images[i * images.size() / count]});
    out += "</div>";
  }
  out += "</section>";
}

// Nothing for what is no file of its own, or too large to embed.
std::vector<uint8_t> embeddable(const std::string& name) {
  constexpr uintmax_t kMostBytes = 256 << 10;
  std::error_code error;
  if (!std::filesystem::is_regular_file(name, error) || std::filesystem::file_size(name, error) > kMostBytes)
    return {};
  std::ifstream file(name, std::ios::binary);
  return {std::istreambuf_iterator<char>(file), {}};
}

void add_broken(std::string& out, const Inspection& inspection) {
  const std::vector<data::LeftOut>& left_out = inspection.survey.left_out;
  if (left_out.empty()) return;
  out +=
      "<section><h2>What cannot be read</h2><p class=muted>Where something is left of a picture, it is "
      "shown.</p>"
      "<div class=pictures>";
  for (size_t i = 0; i < std::min(left_out.size(), kMostBroken); ++i) {
    const std::vector<uint8_t> file = embeddable(left_out[i].name);
    const bool png = file.size() > 33 && file[0] == 0x89 && file[1] == 'P';
    const bool jpeg = file.size() > 20 && file[0] == 0xff && file[1] == 0xd8;
    constexpr std::string_view kNoPicture = "<div class='picture none'>no picture</div>";
    out += "<figure class=wide>";
    // An <object> shows its content where the browser finds no picture in its data.
    if (png || jpeg)
      fmt::format_to(std::back_inserter(out),
                     "<object class=picture type='image/{0}' aria-label='{1}' "
                     "data='data:image/{0};base64,{2}'>{3}</object>",
                     png ? "png" : "jpeg", clean(left_out[i].name), to_base64(file), kNoPicture);
    else
      out += kNoPicture;
    fmt::format_to(std::back_inserter(out), "<figcaption><b>{}</b><br>{}</figcaption></figure>",
                   clean(short_name(left_out[i].name)), clean(left_out[i].reason));
  }
  out += "</div>";
  if (left_out.size() > kMostBroken)
    fmt::format_to(std::back_inserter(out), "<p class=muted>And {} more.</p>",
                   format_integer(static_cast<int64_t>(left_out.size() - kMostBroken)));
  out += "</section>";
}

void add_copies(std::string& out, const Inspection& inspection, const std::vector<Copies>& groups,
                std::string_view title, std::string_view words) {
  if (groups.empty()) return;
  fmt::format_to(std::back_inserter(out), "<section><h2>{}</h2><p class=muted>{}</p>", title, words);
  for (size_t g = 0; g < std::min(groups.size(), kMostGroups); ++g) {
    const Copies& group = groups[g];
    fmt::format_to(std::back_inserter(out), "<div class=group><span class={}>{}</span><div class=pictures>",
                   group.kind == CopyKind::SameClass ? "plain" : "tag",
                   group.kind == CopyKind::OtherClasses ? "Under different classes"
                   : group.kind == CopyKind::AcrossSets ? "In training and test"
                                                        : "In one set and class");
    for (size_t i = 0; i < std::min(group.images.size(), kMostOfAGroup); ++i) {
      const ImageReference image = group.images[i];
      fmt::format_to(std::back_inserter(out),
                     "<figure class=wide>{}<figcaption><b>{}</b>, {}<br>{}</figcaption></figure>",
                     img(inspection, image),
                     clean(inspection.dataset->classes[data::label_of(inspection, image)]),
                     image.set == data::SetName::Train ? "training" : "test",
                     clean(short_name(data::surveyed(inspection, image).name)));
    }
    out += "</div>";
    if (group.images.size() > kMostOfAGroup)
      fmt::format_to(std::back_inserter(out), "<p class=muted>And {} more.</p>",
                     group.images.size() - kMostOfAGroup);
    out += "</div>";
  }
  if (groups.size() > kMostGroups)
    fmt::format_to(std::back_inserter(out), "<p class=muted>And {} more such groups.</p>",
                   format_integer(static_cast<int64_t>(groups.size() - kMostGroups)));
  out += "</section>";
}

void add_shapes(std::string& out, const Inspection& inspection) {
  if (inspection.shapes.size() < 2) return;
  constexpr size_t kMostShapes = 20;
  out +=
      "<section><h2>Sizes as stored</h2><div class=scroll tabindex=0 role=region aria-label='Sizes as "
      "stored'><table><thead><tr><th scope=col>Height x width x channels<th "
      "scope=col>images</tr></thead><tbody>";
  for (size_t i = 0; i < std::min(inspection.shapes.size(), kMostShapes); ++i) {
    const data::StoredShape& one = inspection.shapes[i];
    fmt::format_to(std::back_inserter(out), "<tr><td>{}x{}x{}<td>{}</tr>", one.shape.height, one.shape.width,
                   one.shape.channels, format_integer(one.images));
  }
  out += "</tbody></table></div>";
  if (inspection.shapes.size() > kMostShapes)
    fmt::format_to(std::back_inserter(out), "<p class=muted>And {} more shapes.</p>",
                   inspection.shapes.size() - kMostShapes);
  out += "</section>";
}

}  // namespace

std::string data_page(const Inspection& inspection) {
  std::string out = fmt::format("<h1>{}</h1>", clean(inspection.spec));
  const size_t problems = inspection.problems.size();
  fmt::format_to(std::back_inserter(out), "<p class='verdict{}'><b>{}</b></p>", problems > 0 ? " bad" : "",
                 problems == 0   ? "Ready to train on."
                 : problems == 1 ? "One problem would spoil a training."
                                 : fmt::format("{} problems would spoil a training.", problems));
  const auto count = [](size_t n) { return format_integer(static_cast<int64_t>(n)); };
  out += "<div class=cards>";
  if (inspection.dataset) {
    const data::Dataset& dataset = *inspection.dataset;
    out += card(count(dataset.classes.size()), "classes");
    out += card(count(dataset.train.count()), "training images");
    out += card(count(dataset.test.count()),
                dataset.test.count() > 0 ? "test images" : "test images: some will be split off");
    out += card(fmt::format("{}x{}x{}", dataset.train.shape.height, dataset.train.shape.width,
                            dataset.train.shape.channels),
                "what a network sees");
  }
  out += card(count(inspection.survey.left_out.size()), "cannot be read");
  const auto images = [&](const std::vector<Copies>& groups) {
    return count(std::transform_reduce(groups.begin(), groups.end(), size_t{0}, std::plus(),
                                       data::images_in_question));
  };
  out += card(images(inspection.copies), "more than once");
  out += card(images(inspection.near_copies), "nearly the same");
  out += "</div>";
  add_findings(out, "Problems", inspection.problems);
  add_findings(out, "Worth knowing", inspection.notes);
  if (inspection.dataset) add_classes(out, inspection);
  add_broken(out, inspection);
  if (inspection.dataset) {
    add_copies(out, inspection, inspection.copies, "The same picture more than once",
               "Equal in every pixel as they are stored.");
    add_copies(
        out, inspection, inspection.near_copies, "Nearly the same picture",
        "Their outlines and their details agree: stored anew, a little brighter, frames of one burst.");
    add_samples(out, inspection);
    add_shapes(out, inspection);
    fmt::format_to(std::back_inserter(out), "<p class=muted>Data hash {}</p>",
                   inspection.dataset->content_hash);
  }
  return html_page({.title = "Retort: " + inspection.spec,
                    .style = kDataStyle,
                    .script = {},
                    .policy = "object-src data:;",  // broken pictures
                    .body = out});
}

}  // namespace retort::report
