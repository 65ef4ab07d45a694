// A data set as files that NumPy reads, for teachers made elsewhere.
#pragma once

#include <filesystem>

#include "data/dataset.h"

namespace retort::data {

// Writes into `folder` (created when missing), in the data set's own order:
// - x_train.npy: images × height × width × channels, uint8; y_train.npy: images, int64;
// - x_test.npy and y_test.npy when there are test images;
// - dataset.json: {"spec", "classes", "content_hash", "range": {"low", "high"}}; the real value of a byte b
// is
//   low + b · (high − low) / 255.
// Logits computed from these, one row an image, are logits in the data set's order. Throws Error(Failure)
// naming the file that can't be written.
void export_npy(const Dataset& dataset, const std::filesystem::path& folder);

}  // namespace retort::data
