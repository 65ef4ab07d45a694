// What is worth knowing of a data set before hours of training: what cannot be read, what is there twice, which
// classes are small.
#pragma once

#include <cstdint>
#include <memory>
#include <string>
#include <string_view>
#include <vector>

#include "base/progress.h"
#include "data/dataset.h"
#include "data/reader.h"

namespace retort::data {

enum class SetName { Train, Test };

struct ImageReference {
  SetName set = SetName::Train;
  uint32_t index = 0;  // within that set
  bool operator==(const ImageReference&) const = default;
};

// What keeps copies of one image from being harmless. An image may be both.
enum class CopyKind {
  SameClass,     // twice in one set, under one class
  AcrossSets,    // training and test images
  OtherClasses,  // under more than one class, in one set or across
};

// Images whose stored pixels are the same.
struct Copies {
  std::vector<ImageReference> images;  // two or more, training images first
  CopyKind kind = CopyKind::SameClass;
};
// As findings count them: all where their labels differ, of a group across sets its test images, else all but the first.
size_t images_in_question(const Copies& group);

struct StoredShape {
  ImageShape shape;
  int64_t images = 0;
};

// One sentence, and a line for each thing that it speaks of.
struct Finding {
  std::string name;  // for programs: "left-out", "refused", "copies-across-sets", …
  std::string sentence;
  std::vector<std::string> examples;
};

struct Inspection {
  std::string spec;
  std::shared_ptr<const Dataset> dataset;  // what a training would see; null when nothing was left to see
  Survey survey;
  std::vector<StoredShape> shapes;  // the most frequent first
  std::vector<Copies> copies;       // images under more than one class first, then those across sets
  // Images that are nearly the same (near_copies.h) as a network would see them, in the same order; of copies that are
  // equal the first stands for all.
  std::vector<Copies> near_copies;
  bool among_alike = false;           // only the nearest count, for most pictures of this set are alike
  bool all_compared = true;           // near_copies may lack some
  std::vector<int64_t> train_counts;  // one a class
  std::vector<int64_t> test_counts;
  std::vector<Finding> problems;  // what stops a training or makes its accuracy untrue
  std::vector<Finding> notes;     // what one might want to know
};

// More copies across sets, or under several classes, than this share are a problem: they move a measured accuracy
// by as much. Known sets have a few (Fashion-MNIST, CIFAR-10).
inline constexpr double kHarmlessCopies = 0.005;
// Of a data set without test images as many more land on both sides of the split that is drawn.
inline constexpr double kHarmlessCopiesBeforeSplit = 0.02;
// A class this many times smaller than the largest one hardly shows in the accuracy.
inline constexpr double kNotedImbalance = 3;
inline constexpr double kHarmfulImbalance = 20;

// Reads everything anew, whole, whatever is broken in it. `options.bad_images` says whether a training would leave
// broken images out, `split` how it would split. Throws Error(Usage) where there is nothing to inspect: no such
// folder, a broken file of a format that has all images in one.
Inspection inspect(std::string_view spec, const LoadOptions& options, const SplitOptions& split,
                   ProgressSink& progress);

// The image, as a survey names it.
const SurveyedImage& surveyed(const Inspection& inspection, ImageReference image);
// Class of an image, as an index into Dataset::classes.
uint16_t label_of(const Inspection& inspection, ImageReference image);

}  // namespace retort::data
