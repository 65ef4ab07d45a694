// A data set as files that NumPy and `npy:DIR` read: for teachers made elsewhere, and to keep what came from memory.
#pragma once

#include <filesystem>

#include "data/dataset.h"

namespace retort::data {

// Writes into `folder` (created when missing; an earlier export in it is replaced, arrays of another origin are refused), in the
// data set's own order:
// - x_train.npy: images × height × width × channels, uint8; y_train.npy: images, int64;
// - x_test.npy and y_test.npy when there are test images, else these two are removed;
// - train_indices.npy, validation_indices.npy and test_indices.npy: the split's rows of x_train, int64. A
//   teacher is to learn from x_train[train_indices] alone; test_indices is empty where there is an x_test;
// - dataset.json: {"spec", "classes", "content_hash", "range": {"low", "high"}}; the real value of a byte b
//   is low + b · (high − low) / 255.
// Logits of all of x_train, one row an image, are logits in the data set's order. Beside dataset.json, or
// with a copy of it beside them, they are checked against its content_hash (compress/distillation.h). Throws
// Error(Usage) for those arrays, Error(Failure) naming the file that can't be written.
void export_npy(const Dataset& dataset, const Split& split, const std::filesystem::path& folder);
// Of a dataset.json: the names of as many classes as there may be.
inline constexpr uint64_t kMostDescriptionBytes = uint64_t{16} << 20U;

// A data set as PNG files that `images:DIR` reads: train/CLASS/00000.png and test/CLASS/…; without test images
// CLASS/00000.png alone, unless are_sets() of the classes' names. A / in a class's name becomes -. `folder` is new or empty
// and appears whole or not at all. On up to `threads` threads (0: all cores). Error(Usage) for images of other than 1 or 3
// channels, for classes whose names are no names of folders; Error(Failure) naming the file that can't be written.
void export_images(const Dataset& dataset, const std::filesystem::path& folder, int threads = 0);

}  // namespace retort::data
