// JPEG and PNG files, and what is done to pictures before they are trained on.
#include <array>

#include "base/error.h"
#include "data/fixtures.h"
#include "data/image_file.h"
#include "data/preprocess.h"
#include "target.h"

namespace retort::fuzz {

void run(Bytes bytes) {
  const data::DecodedImage image = data::decode_image(bytes, "file");
  require(image.shape.height > 0 && image.shape.width > 0, "a picture has pixels");
  require(image.shape.channels == 1 || image.shape.channels == 3, "a picture is grey or RGB");
  require(image.pixels.size() == image.shape.bytes(), "a picture is whole");
  data::ImageShape small{5, 7, image.shape.channels};
  std::vector<uint8_t> out(small.bytes());
  data::resize(image.pixels, image.shape, out, small);
  if (image.shape.channels != 3) return;
  std::vector<uint8_t> grey(out.size() / 3);
  data::to_gray(out, grey);
}

std::vector<Seed> seeds() {
  std::vector<Seed> all;
  const auto pixels = [](size_t count) {
    std::vector<uint8_t> bytes(count);
    for (size_t i = 0; i < count; ++i) bytes[i] = static_cast<uint8_t>(i * 29);
    return bytes;
  };
  all.push_back(data::encode_jpeg(pixels(9 * 7 * 3), {9, 7, 3}));
  all.push_back(data::encode_jpeg(pixels(9 * 7), {9, 7, 1}, 50, data::Mode::Gray));
  all.push_back(data::encode_jpeg(pixels(9 * 7 * 4), {9, 7, 4}, 50, data::Mode::Cmyk));
  // Turned by a camera: an Exif segment behind the first marker.
  Seed turned = all.front();
  constexpr std::array<uint8_t, 36> kExif = {0xff, 0xe1, 0, 34, 'E', 'x', 'i', 'f', 0, 0,    'M', 'M',
                                             0,    42,   0, 0,  0,   8,   0,   1,   1, 0x12, 0,   3,
                                             0,    0,    0, 1,  0,   6,   0,   0,   0, 0,    0,   0};
  turned.insert(turned.begin() + 2, kExif.begin(), kExif.end());
  all.push_back(turned);
  for (const auto& [type, depth, row] : {std::array{0, 1, 1}, std::array{0, 16, 14}, std::array{2, 8, 21},
                                         std::array{3, 4, 4}, std::array{4, 8, 14}, std::array{6, 16, 56}}) {
    all.push_back(data::encode_png(pixels(static_cast<size_t>(row) * 5), 5, 7, type, depth));
    all.push_back(data::encode_png(pixels(static_cast<size_t>(row) * 5), 5, 7, type, depth, true));
  }
  return all;
}

}  // namespace retort::fuzz
