// NAME_image.c, compiled by a C compiler, against what training does to images: byte for byte.
#include <dlfcn.h>
#include <gtest/gtest.h>
#include <unistd.h>

#include <cstdlib>
#include <cstring>
#include <filesystem>

#include "base/file.h"
#include "data/preprocess.h"
#include "deploy/exporter.h"
#include "int8/kernel_parameters.h"
#include "int8/random_networks.h"
#include "int8/tflite.h"

namespace retort::deploy {
namespace {

namespace fs = std::filesystem;

// The smallest network with such an input.
int8::QuantGraph network(data::ImageShape shape, int8::Ends ends, float scale) {
  graph::Graph graph({shape.height, shape.width, shape.channels, false});
  graph.add(graph::Flatten{});
  graph.add(graph::Dense{.units = 2});
  int8::QuantGraph lowered = int8::lower_structure(graph, {.ends = ends, .classes = {"a", "b"}});
  if (ends == int8::Ends::Int8)
    lowered.tensors[static_cast<size_t>(lowered.inputs[0])].quantization.scales = {scale};
  return lowered;
}

// A package's code for images, loaded into this process.
class ImageCode {
 public:
  ImageCode(data::ImageShape shape, int8::Ends ends, float scale = 1.0F / 255)
      : shape_(shape), graph_(network(shape, ends, scale)) {
    static int count = 0;
    const fs::path folder = fs::path(testing::TempDir()) /
                            ("retort-image-" + std::to_string(::getpid()) + "-" + std::to_string(++count));
    const std::vector<uint8_t> tflite = int8::write_tflite(graph_);
    const Files files = exporter("c").files(
        {.graph = graph_, .tflite = tflite, .name = "net", .about_json = "", .command = "", .images = {}});
    for (const auto& [path, text] : files) write_text_atomic(folder / path, text);
    // Undefined behaviour, such as a sum that does not fit, ends the process.
    const std::string command =
        "cd '" + folder.string() +
        "' && cc -std=c99 -O1 -fsanitize=undefined -fsanitize-undefined-trap-on-error -shared "
        "-fPIC net.c net_image.c -o net.so";
    if (std::system(command.c_str()) == 0)
      library_ = ::dlopen((folder / "net.so").c_str(), RTLD_NOW | RTLD_LOCAL);
    fs::remove_all(folder);
    if (library_ == nullptr) return;
    image_ = reinterpret_cast<Image>(::dlsym(library_, "net_image"));
    input_ = reinterpret_cast<Input>(::dlsym(library_, "net_input"));
  }
  ImageCode(const ImageCode&) = delete;
  ImageCode& operator=(const ImageCode&) = delete;
  ~ImageCode() {
    if (library_ != nullptr) ::dlclose(library_);
  }

  [[nodiscard]] bool loaded() const { return image_ != nullptr && input_ != nullptr; }
  [[nodiscard]] data::ImageShape shape() const { return shape_; }
  // net_image's answer.
  [[nodiscard]] int prepare(std::span<const uint8_t> pixels, data::ImageShape from) const {
    return image_(pixels.data(), from.height, from.width, from.channels);
  }
  // The input that it has written.
  [[nodiscard]] std::vector<uint8_t> written(size_t bytes) const {
    const auto* input = static_cast<const uint8_t*>(input_());
    return {input, input + bytes};
  }
  // What the network would be given for these bytes of an image.
  [[nodiscard]] std::vector<uint8_t> quantized(std::span<const uint8_t> image) const {
    const int8::Tensor& input = graph_.tensors[static_cast<size_t>(graph_.inputs[0])];
    std::vector<uint8_t> bytes;
    for (const uint8_t byte : image) {
      if (input.type == int8::Type::Int8) {
        bytes.push_back(static_cast<uint8_t>(int8::image_table(input)[byte]));
        continue;
      }
      const float value = static_cast<float>(byte) / 255.0F;
      bytes.resize(bytes.size() + sizeof value);
      std::memcpy(bytes.data() + bytes.size() - sizeof value, &value, sizeof value);
    }
    return bytes;
  }

 private:
  using Image = int (*)(const uint8_t*, int32_t, int32_t, int32_t);
  using Input = void* (*)();
  data::ImageShape shape_;
  int8::QuantGraph graph_;
  void* library_ = nullptr;
  Image image_ = nullptr;
  Input input_ = nullptr;
};

// As training's readers do it: grey or colour first, then the size.
std::vector<uint8_t> as_in_training(std::span<const uint8_t> image, data::ImageShape from,
                                    data::ImageShape to) {
  const size_t pixels = static_cast<size_t>(from.height) * static_cast<size_t>(from.width);
  std::vector<uint8_t> coloured(image.begin(), image.end());
  if (from.channels == 3 && to.channels == 1) {
    coloured.resize(pixels);
    data::to_gray(image, coloured);
  } else if (from.channels == 1 && to.channels == 3) {
    coloured.clear();
    for (const uint8_t byte : image) coloured.insert(coloured.end(), 3, byte);
  }
  std::vector<uint8_t> resized(to.bytes());
  data::resize(coloured, {from.height, from.width, to.channels}, resized, to);
  return resized;
}

void expect_equal(const ImageCode& code, std::span<const uint8_t> image, data::ImageShape from) {
  const std::vector<uint8_t> expected = code.quantized(as_in_training(image, from, code.shape()));
  ASSERT_EQ(code.prepare(image, from), 0);
  ASSERT_EQ(code.written(expected.size()), expected)
      << from.height << "x" << from.width << "x" << from.channels << " to " << code.shape().height << "x"
      << code.shape().width << "x" << code.shape().channels;
}

TEST(ImageCode, GivesTheBytesOfTrainingForAnyImage) {
  Rng rng(1);
  for (int i = 0; i < 12; ++i) {
    const auto side = [&] { return 1 + static_cast<int>(rng.below(i % 2 == 0 ? 12 : 70)); };
    const data::ImageShape shape = {side(), side(), i % 3 == 0 ? 3 : 1};
    // Every third has another grid than our own files.
    const ImageCode code(shape, i % 4 == 3 ? int8::Ends::Float : int8::Ends::Int8,
                         i % 3 == 1 ? 1.0F / 131 : 1.0F / 255);
    ASSERT_TRUE(code.loaded());
    for (int image = 0; image < 40; ++image) {
      // Smaller and larger, each side for itself; now and then the very size. Sums of 150 fit for
      // every size.
      const auto source_side = [&](int own) {
        const uint32_t most = image % 3 == 0 ? 10 : 150;
        return image % 7 == 0 ? own : 1 + static_cast<int>(rng.below(most));
      };
      const data::ImageShape from = {source_side(shape.height), source_side(shape.width),
                                     image % 2 == 0 ? 3 : 1};
      ASSERT_NO_FATAL_FAILURE(expect_equal(code, int8::random_bytes(rng, from.bytes()), from));
    }
  }
}

TEST(ImageCode, RefusesWhatWouldNotFitAndIsExactBelow) {
  // 2 · side² / 16 ≤ 60000
  constexpr int kLargest = 692;
  const ImageCode code({16, 16, 1}, int8::Ends::Int8);
  ASSERT_TRUE(code.loaded());
  const std::vector<uint8_t> white(static_cast<size_t>(kLargest + 1) * (kLargest + 1), 255);
  const auto bright = [&](int height, int width) {
    return std::span(white).first(static_cast<size_t>(height) * static_cast<size_t>(width));
  };
  ASSERT_NO_FATAL_FAILURE(expect_equal(code, bright(kLargest, kLargest), {kLargest, kLargest, 1}));
  EXPECT_EQ(code.prepare(white, {kLargest + 1, 16, 1}), -1);
  EXPECT_EQ(code.prepare(white, {16, kLargest + 1, 1}), -1);
  for (const data::ImageShape none : {data::ImageShape{0, 4, 1}, {4, 0, 1}, {-1, 4, 1}, {4, 4, 2}, {4, 4, 4}})
    EXPECT_EQ(code.prepare(white, none), -1);
}

}  // namespace
}  // namespace retort::deploy
