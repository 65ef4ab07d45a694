// The files behind a data set's images.
#pragma once

#include <string>
#include <vector>

#include "data/dataset.h"

namespace retort::data {

// Where the images of a data set come from, in its order: files by their paths within the data's folder. Empty where
// they are no files of their own, where some were left out, or where the folder has changed.
struct ImageFiles {
  std::vector<std::string> train;
  std::vector<std::string> test;
};
ImageFiles image_files(const Dataset& dataset);

}  // namespace retort::data
