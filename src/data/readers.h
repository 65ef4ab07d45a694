// The formats behind the table in reader.cpp, and what they share.
#pragma once

#include <filesystem>
#include <memory>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "data/reader.h"

namespace retort::data {

// `cifar10:DIR`: the binary version, data_batch_1.bin to data_batch_5.bin and test_batch.bin (all of them,
// and nothing else), here or in cifar-10-batches-bin/ below; class names from batches.meta.txt when it is
// there. Each record is a label byte and 3,072 bytes of planar RGB.
// <https://www.cs.toronto.edu/~kriz/cifar.html>
std::unique_ptr<Reader> make_cifar10_reader();

// `idx:DIR`: MNIST's files, train-images-idx3-ubyte and so on, gzipped or not, also spelled
// train-images.idx3-ubyte. <https://yann.lecun.com/exdb/mnist/>
std::unique_ptr<Reader> make_idx_reader();

// `fashion-mnist`: Debian's package dataset-fashion-mnist, or the folder in $RETORT_FASHION_MNIST;
// `fashion-mnist:DIR`: MNIST's files there, with the classes' names.
std::unique_ptr<Reader> make_fashion_mnist_reader();

// `images:DIR`: DIR/<class>/<image>, or DIR/train/<class>/<image> with or without DIR/test/<class>/<image>.
// Images are taken in the order of their class's and their own name. Files beside the class folders, and
// files whose names begin with a dot, are no images. Images of other sizes are resized to the first one's, or
// to `size`, which must be given where the first one has more than 512 x 512 pixels.
std::unique_ptr<Reader> make_folder_reader();

// `npy:DIR`: x_train.npy, y_train.npy, perhaps x_test.npy and y_test.npy. Images N×H×W×C or N×H×W, uint8, or
// float32, whose bytes then are round(255 · (x − low) / (high − low)), clamped, with low and high the
// training data's. Labels are integers (N or N×1) or one-hot rows (N×classes). A dataset.json of export_npy names the
// classes and what bytes stand for.
std::unique_ptr<Reader> make_npy_reader();

// Whether folders of these names are the sets of `images:DIR`, train/ with or without others, and not its classes.
bool are_sets(std::span<const std::string> folders);

// Throws Error(Usage) when there is no such folder.
void require_folder(const std::filesystem::path& path);

// "0", "1", …
std::vector<std::string> numbered_classes(size_t count);

// Labels are 16 bits wide, and the largest value marks an image that --skip-bad leaves out.
inline constexpr size_t kMaxClasses = 65535;
inline constexpr uint16_t kNoLabel = 65535;

// Tells the survey, if there is one, of something that is left out.
void note_left_out(const LoadOptions& options, std::string name, std::string reason);

// The entry of a survey for an image.
SurveyedImage survey_image(std::string name, ImageShape stored, std::span<const uint8_t> pixels);

// Removes the images whose label is kNoLabel, and returns how many they were.
int64_t drop_unlabelled(ImageSet& set);

// Throws Error(Usage) for what no training could use: no images, sizes that differ, a single class, names that are not
// UTF-8, labels out of range, a class without images.
void require_sound(const Dataset& dataset);

// Throws Error(Usage) naming a class that no training image has. `where`: the file or folder that says so.
void require_every_class(const Dataset& dataset, std::string_view where);

}  // namespace retort::data
