#include "data/inspection.h"

#include <fmt/format.h>

#include <algorithm>
#include <map>
#include <numeric>
#include <span>
#include <tuple>
#include <unordered_map>
#include <unordered_set>

#include "base/error.h"
#include "base/units.h"
#include "data/near_copies.h"

namespace retort::data {
namespace {

std::string number(size_t count, std::string_view noun, std::string_view plural = {}) {
  return format_counted(static_cast<int64_t>(count), noun, plural);
}

std::string share(size_t part, size_t whole) {
  const double percent = 100 * static_cast<double>(part) / static_cast<double>(whole);
  return percent >= 10 ? fmt::format("{:.0f}%", percent) : fmt::format("{:.2g}%", percent);
}

std::vector<int64_t> count_classes(const ImageSet& set, size_t classes) {
  std::vector<int64_t> counts(classes);
  for (const uint16_t label : set.labels) ++counts[label];
  return counts;
}

std::vector<StoredShape> count_shapes(const Survey& survey) {
  std::map<std::tuple<int, int, int>, int64_t> counts;
  for (const auto* set : {&survey.train, &survey.test})
    for (const SurveyedImage& image : *set)
      ++counts[{image.stored.height, image.stored.width, image.stored.channels}];
  std::vector<StoredShape> shapes;
  for (const auto& [shape, images] : counts)
    shapes.push_back({{std::get<0>(shape), std::get<1>(shape), std::get<2>(shape)}, images});
  std::ranges::stable_sort(shapes, std::greater{}, &StoredShape::images);
  return shapes;
}

// Each group's kind, those first that do most harm.
std::vector<Copies> with_kinds(const Inspection& inspection, std::vector<Copies> groups) {
  for (Copies& group : groups) {
    const ImageReference first = group.images.front();
    for (const ImageReference image : group.images) {
      if (label_of(inspection, image) != label_of(inspection, first)) group.kind = CopyKind::OtherClasses;
      if (image.set != first.set && group.kind == CopyKind::SameClass) group.kind = CopyKind::AcrossSets;
    }
  }
  std::ranges::stable_sort(groups, std::greater{}, &Copies::kind);
  return groups;
}

std::vector<Copies> find_copies(const Inspection& inspection) {
  std::unordered_map<std::string_view, size_t> group_of;
  std::vector<Copies> groups;
  const auto add = [&](const std::vector<SurveyedImage>& images, SetName set) {
    for (size_t i = 0; i < images.size(); ++i) {
      const auto [found, fresh] = group_of.try_emplace(images[i].digest, groups.size());
      if (fresh) groups.emplace_back();
      groups[found->second].images.push_back({set, static_cast<uint32_t>(i)});
    }
  };
  add(inspection.survey.train, SetName::Train);
  add(inspection.survey.test, SetName::Test);
  std::erase_if(groups, [](const Copies& group) { return group.images.size() < 2; });
  return with_kinds(inspection, std::move(groups));
}

// Groups of what is connected by pairs that are nearly the same.
std::vector<Copies> find_near_copies(Inspection& inspection, int threads) {
  const Dataset& dataset = *inspection.dataset;
  std::unordered_set<std::string_view> seen;  // of equal ones the first is enough
  std::vector<ImageReference> references;
  std::vector<std::span<const uint8_t>> images;
  const auto add = [&](const std::vector<SurveyedImage>& surveyed_images, const ImageSet& set, SetName name) {
    for (size_t i = 0; i < surveyed_images.size(); ++i) {
      if (!seen.insert(surveyed_images[i].digest).second) continue;
      references.push_back({name, static_cast<uint32_t>(i)});
      images.push_back(set.image(i));
    }
  };
  add(inspection.survey.train, dataset.train, SetName::Train);
  add(inspection.survey.test, dataset.test, SetName::Test);
  const NearPairs found = find_near_pairs(images, dataset.train.shape, threads);
  inspection.all_compared = found.complete;
  inspection.among_alike = found.among_alike;

  // The first of its group, by way of others.
  std::vector<uint32_t> leads_to(images.size());
  std::iota(leads_to.begin(), leads_to.end(), 0U);
  const auto first_of = [&](uint32_t image) {
    while (leads_to[image] != image) image = leads_to[image] = leads_to[leads_to[image]];
    return image;
  };
  for (const auto& [a, b] : found.pairs) {
    const auto [low, high] = std::minmax({first_of(a), first_of(b)});
    leads_to[high] = low;
  }
  std::map<uint32_t, Copies> groups;
  for (const auto& [a, b] : found.pairs) groups[first_of(a)];
  for (uint32_t i = 0; i < images.size(); ++i)
    if (const auto group = groups.find(first_of(i)); group != groups.end())
      group->second.images.push_back(references[i]);
  std::vector<Copies> list;
  for (auto& [first, group] : groups) list.push_back(std::move(group));
  return with_kinds(inspection, std::move(list));
}

std::string names_of(const Inspection& inspection, const Copies& group, std::string_view sign) {
  constexpr size_t kMost = 4;
  std::string text;
  for (size_t i = 0; i < std::min(group.images.size(), kMost); ++i) {
    const ImageReference image = group.images[i];
    text += fmt::format("{}{} ({})", i == 0 ? std::string() : fmt::format(" {} ", sign),
                        surveyed(inspection, image).name,
                        inspection.dataset->classes[label_of(inspection, image)]);
  }
  if (group.images.size() > kMost) text += fmt::format(" and {} more", group.images.size() - kMost);
  return text;
}

void judge_left_out(Inspection& inspection, BadImages bad_images) {
  const std::vector<LeftOut>& left_out = inspection.survey.left_out;
  if (left_out.empty()) return;
  Finding finding{
      "left-out",
      bad_images == BadImages::Fail
          ? fmt::format("{}: a training stops at {}; mend or remove {}, or train with --skip-bad",
                        number(left_out.size(), "thing cannot be read or has no valid label",
                               "things cannot be read or have no valid label"),
                        left_out.size() == 1 ? "it" : "the first", left_out.size() == 1 ? "it" : "them")
          : fmt::format("{} left out under --skip-bad", number(left_out.size(), "thing is", "things are")),
      {}};
  for (const LeftOut& one : left_out) finding.examples.push_back(one.name + ": " + one.reason);
  (bad_images == BadImages::Fail ? inspection.problems : inspection.notes).push_back(std::move(finding));
}

// What is said of copies, and of near copies.
struct CopyWords {
  std::string_view name;  // of the findings, before "-under-other-classes" and so on
  std::string_view sign;  // between their names
  std::string_view under_other_classes;
  std::string_view across_sets;
  std::string_view within_a_class;
  std::string_view after_a_split;  // goes on from it where there is no test set
  double harmless_under_other_classes;
  double harmless_across_sets;
  double harmless_before_split;
};

constexpr CopyWords kCopyWords = {
    .name = "copies",
    .sign = "=",
    .under_other_classes = "under another class too: one of the labels is wrong",
    .across_sets = "among the training images too: what is measured there is memory",
    .within_a_class = "of another one in the same set and class",
    .after_a_split =
        ": the split into training, validation and test images parts some from their copies, and "
        "accuracies come out too high",
    .harmless_under_other_classes = kHarmlessCopies,
    .harmless_across_sets = kHarmlessCopies,
    .harmless_before_split = kHarmlessCopiesBeforeSplit};

// Never problems: whether two pictures of a shoe are one shoe is for eyes to judge.
constexpr CopyWords kNearCopyWords = {
    .name = "near-copies",
    .sign = "≈",
    .under_other_classes = "nearly the same as one under another class: a label may be wrong",
    .across_sets =
        "nearly the same as training images: if they are the same things, what is measured there is "
        "memory",
    .within_a_class = "nearly the same as another one in the same set and class",
    .after_a_split =
        ": if they are the same things (frames of a burst, say), the split into training, validation and "
        "test images parts some from their likes, and accuracies come out too high",
    .harmless_under_other_classes = 1,
    .harmless_across_sets = 1,
    .harmless_before_split = 1};

void judge_copies(Inspection& inspection, const std::vector<Copies>& groups, const CopyWords& words) {
  const auto gather = [&](auto&& belongs) {
    std::vector<std::string> examples;
    for (const Copies& group : groups)
      if (belongs(group)) examples.push_back(names_of(inspection, group, words.sign));
    return examples;
  };
  const auto count = [&](auto&& counts) {
    size_t images = 0;
    for (const Copies& group : groups) images += counts(group);
    return images;
  };
  const auto report = [&](bool harmful, std::string_view kind, std::string sentence,
                          std::vector<std::string> examples) {
    (harmful ? inspection.problems : inspection.notes)
        .push_back({fmt::format("{}-{}", words.name, kind), std::move(sentence), std::move(examples)});
  };
  const auto in_set = [](const Copies& group, SetName set) {
    return static_cast<size_t>(std::ranges::count(group.images, set, &ImageReference::set));
  };
  const size_t train = inspection.survey.train.size();
  const size_t test = inspection.survey.test.size();
  const auto exceeds = [](size_t part, size_t whole, double limit) {
    return static_cast<double>(part) > limit * static_cast<double>(whole);
  };
  const auto is_or_are = [](size_t images) { return images == 1 ? "is" : "are"; };

  const auto other_classes = [](const Copies& group) { return group.kind == CopyKind::OtherClasses; };
  if (const size_t images = count(
          [&](const Copies& group) { return other_classes(group) ? images_in_question(group) : size_t{0}; });
      images > 0)
    report(exceeds(images, train + test, words.harmless_under_other_classes), "under-other-classes",
           fmt::format("{} ({}) {} {}", number(images, "image"), share(images, train + test),
                       is_or_are(images), words.under_other_classes),
           gather(other_classes));

  const auto across = [&](const Copies& group) {
    return in_set(group, SetName::Train) > 0 && in_set(group, SetName::Test) > 0;
  };
  if (const size_t images = count(
          [&](const Copies& group) { return across(group) ? in_set(group, SetName::Test) : size_t{0}; });
      images > 0)
    report(exceeds(images, test, words.harmless_across_sets), "across-sets",
           fmt::format("{} ({}) {} {}", number(images, "test image"), share(images, test), is_or_are(images),
                       words.across_sets),
           gather(across));

  const auto within = [](const Copies& group) { return group.kind == CopyKind::SameClass; };
  if (const size_t images =
          count([&](const Copies& group) { return within(group) ? images_in_question(group) : size_t{0}; });
      images > 0)
    report(test == 0 && exceeds(images, train, words.harmless_before_split), "within-a-class",
           fmt::format(
               "{} ({}) {} {}{}", number(images, "image"), share(images, train + test),
               words.name == kCopyWords.name ? (images == 1 ? "is a copy" : "are copies") : is_or_are(images),
               words.within_a_class, test == 0 ? words.after_a_split : std::string_view()),
           gather(within));
}

void judge_balance(Inspection& inspection) {
  const Dataset& dataset = *inspection.dataset;
  const auto [smallest, largest] = std::ranges::minmax_element(inspection.train_counts);
  const double ratio = static_cast<double>(*largest) / static_cast<double>(std::max<int64_t>(*smallest, 1));
  if (ratio <= kNotedImbalance) return;
  Finding finding{
      "imbalance",
      fmt::format("The classes are uneven: \"{}\" has {} training images, \"{}\" {}, {:.1f} times "
                  "as many; accuracy says little of small classes",
                  dataset.classes[static_cast<size_t>(smallest - inspection.train_counts.begin())],
                  format_integer(*smallest),
                  dataset.classes[static_cast<size_t>(largest - inspection.train_counts.begin())],
                  format_integer(*largest), ratio),
      {}};
  (ratio > kHarmfulImbalance ? inspection.problems : inspection.notes).push_back(std::move(finding));
}

void note_shapes(Inspection& inspection) {
  if (inspection.shapes.size() < 2) return;
  int64_t gray = 0;
  int64_t stretched = 0;
  int64_t enlarged = 0;
  int64_t all = 0;
  const ImageShape seen = inspection.dataset->train.shape;
  for (const StoredShape& one : inspection.shapes) {
    all += one.images;
    if (one.shape.channels == 1) gray += one.images;
    const double aspect = static_cast<double>(one.shape.width) * seen.height / one.shape.height / seen.width;
    if (aspect > 1.25 || aspect < 0.8) stretched += one.images;
    if (one.shape.width < seen.width || one.shape.height < seen.height) enlarged += one.images;
  }
  std::string text = fmt::format("Images are stored in {} shapes and all become {}x{}x{}",
                                 inspection.shapes.size(), seen.height, seen.width, seen.channels);
  if (gray > 0 && gray < all) text += fmt::format("; {} are grey", format_integer(gray));
  if (stretched > 0)
    text += fmt::format("; {} are stretched by more than a quarter", format_integer(stretched));
  if (enlarged > 0) text += fmt::format("; {} are enlarged", format_integer(enlarged));
  inspection.notes.push_back({"shapes", std::move(text), {}});
}

}  // namespace

size_t images_in_question(const Copies& group) {
  switch (group.kind) {
    case CopyKind::OtherClasses:
      return group.images.size();
    case CopyKind::AcrossSets:
      return static_cast<size_t>(std::ranges::count(group.images, SetName::Test, &ImageReference::set));
    case CopyKind::SameClass:
      break;
  }
  return group.images.size() - 1;
}

const SurveyedImage& surveyed(const Inspection& inspection, ImageReference image) {
  return (image.set == SetName::Train ? inspection.survey.train : inspection.survey.test)[image.index];
}

uint16_t label_of(const Inspection& inspection, ImageReference image) {
  const Dataset& dataset = *inspection.dataset;
  return (image.set == SetName::Train ? dataset.train : dataset.test).labels[image.index];
}

Inspection inspect(std::string_view spec, const LoadOptions& options, const SplitOptions& split,
                   ProgressSink& progress) {
  Inspection inspection;
  inspection.spec = spec;
  LoadOptions everything = options;
  everything.bad_images = BadImages::Skip;
  everything.survey = &inspection.survey;
  try {
    inspection.dataset = load_dataset(spec, everything, progress);
  } catch (const Error& error) {
    // With a list of what is broken the sentence is one of several things to know.
    if (error.code() != ErrorCode::Usage || inspection.survey.left_out.empty()) throw;
    inspection.survey.refusal = error.what();
  }
  judge_left_out(inspection,
                 parse_spec(spec).skip_bad.value_or(false) ? BadImages::Skip : options.bad_images);
  if (!inspection.survey.refusal.empty())
    inspection.problems.push_back({"refused", inspection.survey.refusal, {}});
  if (!inspection.dataset) return inspection;

  const size_t classes = inspection.dataset->classes.size();
  inspection.train_counts = count_classes(inspection.dataset->train, classes);
  inspection.test_counts = count_classes(inspection.dataset->test, classes);
  inspection.shapes = count_shapes(inspection.survey);
  inspection.copies = find_copies(inspection);
  progress.update("comparing images", 0, 0, "");  // seconds at most: its end needs no line
  inspection.near_copies = find_near_copies(inspection, options.threads);
  try {
    stratified_split(*inspection.dataset, split);
  } catch (const Error& error) {
    inspection.problems.push_back({"refused", error.what(), {}});
  }
  judge_copies(inspection, inspection.copies, kCopyWords);
  judge_copies(inspection, inspection.near_copies, kNearCopyWords);
  if (inspection.among_alike)
    inspection.notes.push_back(
        {"alike-by-nature",
         "Many pictures of this set look alike: only those that are all but equal are taken "
         "for near copies",
         {}});
  if (!inspection.all_compared)
    inspection.notes.push_back(
        {"partly-compared",
         "So many images look alike that not all were compared with each other: there may be "
         "more near copies",
         {}});
  judge_balance(inspection);
  note_shapes(inspection);
  return inspection;
}

}  // namespace retort::data
