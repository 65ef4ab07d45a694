#include "data/image_file.h"

#include <gtest/gtest.h>
#include <png.h>

#include <algorithm>
#include <array>
#include <chrono>
#include <cmath>
#include <fstream>
#include <future>
#include <string>

#include "address_space_limit.h"
#include "base/memory.h"
#include "base/memory_share.h"
#include "data/fixtures.h"
#include "data/preprocess.h"

namespace retort::data {
namespace {

std::string decode_error(std::span<const uint8_t> file) {
  return usage_error([&] { decode_image(file, "cat/1.img"); });
}

// A picture smooth enough for JPEG to keep well.
std::vector<uint8_t> gradient(ImageShape shape) {
  std::vector<uint8_t> pixels;
  for (int y = 0; y < shape.height; ++y)
    for (int x = 0; x < shape.width; ++x)
      for (int c = 0; c < shape.channels; ++c) pixels.push_back(static_cast<uint8_t>(3 * x + 2 * y + 40 * c));
  return pixels;
}

void expect_near(const std::vector<uint8_t>& a, const std::vector<uint8_t>& b, int tolerance) {
  ASSERT_EQ(a.size(), b.size());
  for (size_t i = 0; i < a.size(); ++i) ASSERT_NEAR(a[i], b[i], tolerance) << i;
}

TEST(Jpeg, DecodesColorAndGray) {
  for (const int channels : {1, 3}) {
    const ImageShape shape = {19, 33, channels};
    const std::vector<uint8_t> pixels = gradient(shape);
    const DecodedImage image =
        decode_image(encode_jpeg(pixels, shape, 98, channels == 1 ? Mode::Gray : Mode::Rgb), "x");
    EXPECT_EQ(image.shape, shape);
    expect_near(image.pixels, pixels, 8);
  }
}

// An APP1 segment with an Exif directory of two entries.
std::vector<uint8_t> exif(uint16_t orientation, bool little) {
  std::vector<uint8_t> out = {'E', 'x', 'i', 'f', 0, 0};
  const auto put = [&](uint32_t value, int bytes) {
    for (int i = 0; i < bytes; ++i)
      out.push_back(static_cast<uint8_t>(value >> 8 * (little ? i : bytes - 1 - i)));
  };
  out.insert(out.end(), 2, little ? 'I' : 'M');
  put(42, 2);
  put(8, 4);  // where the directory lies
  put(2, 2);
  for (const auto& [tag, value] : {std::pair{0x010f, 77}, std::pair{0x0112, static_cast<int>(orientation)}}) {
    put(static_cast<uint32_t>(tag), 2);
    put(3, 2);  // a short
    put(1, 4);
    put(static_cast<uint32_t>(value), 2);
    put(0, 2);
  }
  put(0, 4);
  return out;
}

std::vector<uint8_t> with_segment(std::vector<uint8_t> jpeg, const std::vector<uint8_t>& segment) {
  const size_t bytes = segment.size() + 2;
  std::vector<uint8_t> marker = {0xff, 0xe1, static_cast<uint8_t>(bytes >> 8), static_cast<uint8_t>(bytes)};
  marker.insert(marker.end(), segment.begin(), segment.end());
  jpeg.insert(jpeg.begin() + 2, marker.begin(), marker.end());
  return jpeg;
}

TEST(Jpeg, TheExifOrientationTurnsThePictureUpright) {
  // Where the standard puts the stored first row and first column.
  struct Sides {
    char row;
    char column;
  };
  constexpr std::array<Sides, 8> kSides = {
      {{'T', 'L'}, {'T', 'R'}, {'B', 'R'}, {'B', 'L'}, {'L', 'T'}, {'R', 'T'}, {'R', 'B'}, {'L', 'B'}}};
  for (const int channels : {1, 3}) {
    const ImageShape shape = {11, 17, channels};
    const auto file = encode_jpeg(gradient(shape), shape, 95, channels == 1 ? Mode::Gray : Mode::Rgb);
    const DecodedImage stored = decode_image(file, "x");
    for (uint16_t orientation = 1; orientation <= 8; ++orientation)
      for (const bool little : {true, false}) {
        SCOPED_TRACE(orientation);
        const DecodedImage image = decode_image(with_segment(file, exif(orientation, little)), "x");
        const bool transposed = orientation >= 5;
        ASSERT_EQ(image.shape, (transposed ? ImageShape{17, 11, channels} : shape));
        const Sides sides = kSides[orientation - 1U];
        for (int row = 0; row < shape.height; ++row)
          for (int column = 0; column < shape.width; ++column) {
            int y = 0;
            int x = 0;
            const auto place = [&](char side, int distance) {
              if (side == 'T') y = distance;
              if (side == 'B') y = image.shape.height - 1 - distance;
              if (side == 'L') x = distance;
              if (side == 'R') x = image.shape.width - 1 - distance;
            };
            place(sides.row, row);
            place(sides.column, column);
            for (int c = 0; c < channels; ++c)
              ASSERT_EQ(image.pixels[static_cast<size_t>((y * image.shape.width + x) * channels + c)],
                        stored.pixels[static_cast<size_t>((row * shape.width + column) * channels + c)]);
          }
      }
  }
}

TEST(Jpeg, ADamagedExifSegmentMeansNoTurning) {
  const ImageShape shape = {6, 9, 3};
  const auto file = encode_jpeg(gradient(shape), shape);
  const auto shape_with = [&](const std::vector<uint8_t>& segment) {
    return decode_image(with_segment(file, segment), "x").shape;
  };
  for (const int value : {0, 9, 65535})
    EXPECT_EQ(shape_with(exif(static_cast<uint16_t>(value), true)), shape);
  const std::vector<uint8_t> whole = exif(6, false);
  ASSERT_EQ(shape_with(whole), (ImageShape{9, 6, 3}));
  constexpr size_t kNextDirectory = 4;  // behind the entries, which nobody reads
  for (size_t bytes = 0; bytes + kNextDirectory < whole.size(); ++bytes)
    EXPECT_EQ(shape_with({whole.begin(), whole.begin() + static_cast<std::ptrdiff_t>(bytes)}), shape)
        << bytes;
  Rng rng(5);
  for (int i = 0; i < 2000; ++i) {
    std::vector<uint8_t> damaged = exif(static_cast<uint16_t>(1 + i % 8), i % 3 == 0);
    for (int changes = 0; changes < 3; ++changes)
      damaged[rng.below(static_cast<uint32_t>(damaged.size()))] = static_cast<uint8_t>(rng.below(256));
    EXPECT_EQ(shape_with(damaged).bytes(), shape.bytes());
  }
}

TEST(Jpeg, DecodesCmykToRgb) {
  const ImageShape shape = {16, 16, 4};
  std::vector<uint8_t> inks;
  for (int i = 0; i < 256; ++i) inks.insert(inks.end(), {200, 100, 50, 255});
  std::vector<uint8_t> file = encode_jpeg(inks, shape, 98, Mode::Cmyk);
  // libjpeg marks the file as Adobe's, whose inks are inverted: 255 is none.
  const DecodedImage adobe = decode_image(file, "x");
  EXPECT_EQ(adobe.shape, (ImageShape{16, 16, 3}));
  for (size_t i = 0; i < adobe.pixels.size(); ++i)
    EXPECT_NEAR(adobe.pixels[i], (std::array{200, 100, 50})[i % 3], 4);
  // Without the marker they are as they are, and full black leaves nothing.
  const std::array<uint8_t, 4> marker = {0xff, 0xee, 0, 14};
  const auto at = std::search(file.begin(), file.end(), marker.begin(), marker.end());
  ASSERT_NE(at, file.end());
  file.erase(at, at + 16);
  for (const uint8_t byte : decode_image(file, "x").pixels) EXPECT_LE(byte, 4);
}

TEST(Jpeg, EveryTruncationIsAnError) {
  Rng rng(8);
  const ImageShape shape = {24, 24, 3};
  const std::vector<uint8_t> file = encode_jpeg(random_bytes(shape.bytes(), rng), shape);
  for (size_t size = 3; size + 2 < file.size(); size += 7) {
    const std::string error = decode_error(std::span(file).first(size));
    EXPECT_TRUE(error.starts_with("cat/1.img: broken JPEG: ")) << size << ": " << error;
  }
}

TEST(Jpeg, DamageNeverCrashes) {
  Rng rng(9);
  const ImageShape shape = {16, 16, 3};
  const std::vector<uint8_t> file = encode_jpeg(random_bytes(shape.bytes(), rng), shape);
  for (int trial = 0; trial < 500; ++trial) {
    std::vector<uint8_t> damaged = file;
    for (uint32_t i = 0; i <= rng.below(4); ++i)
      damaged[3 + rng.below(static_cast<uint32_t>(damaged.size() - 3))] =
          static_cast<uint8_t>(rng.below(256));
    try {
      const DecodedImage image = decode_image(damaged, "cat/1.img");
      EXPECT_EQ(image.pixels.size(), image.shape.bytes());
    } catch (const Error& error) {
      EXPECT_EQ(error.code(), ErrorCode::Usage);
      EXPECT_TRUE(std::string(error.what()).starts_with("cat/1.img: ")) << error.what();
    }
  }
}

TEST(Png, KeepsBytesExactly) {
  Rng rng(10);
  for (const int channels : {1, 3}) {
    const ImageShape shape = {5, 11, channels};
    const std::vector<uint8_t> pixels = random_bytes(shape.bytes(), rng);
    const DecodedImage image = decode_image(encode_png(pixels, shape), "x");
    EXPECT_EQ(image.shape, shape);
    EXPECT_EQ(image.pixels, pixels);
    const std::vector<uint8_t> interlaced =
        encode_png(pixels, 5, 11, channels == 1 ? PNG_COLOR_TYPE_GRAY : PNG_COLOR_TYPE_RGB, 8, true);
    EXPECT_EQ(decode_image(interlaced, "x").pixels, pixels);
  }
}

TEST(Png, DropsAlpha) {
  const std::vector<uint8_t> rgba = {10, 20, 30, 0, 40, 50, 60, 128};
  const DecodedImage color = decode_image(encode_png(rgba, 1, 2, PNG_COLOR_TYPE_RGB_ALPHA, 8), "x");
  EXPECT_EQ(color.shape, (ImageShape{1, 2, 3}));
  EXPECT_EQ(color.pixels, (std::vector<uint8_t>{10, 20, 30, 40, 50, 60}));
  const std::vector<uint8_t> gray_alpha = {10, 0, 40, 128};
  const DecodedImage gray = decode_image(encode_png(gray_alpha, 1, 2, PNG_COLOR_TYPE_GRAY_ALPHA, 8), "x");
  EXPECT_EQ(gray.shape, (ImageShape{1, 2, 1}));
  EXPECT_EQ(gray.pixels, (std::vector<uint8_t>{10, 40}));
}

TEST(Png, ExpandsPalettesAndFewBitsAndScalesSixteen) {
  EXPECT_EQ(
      decode_image(encode_png(std::vector<uint8_t>{3, 200}, 1, 2, PNG_COLOR_TYPE_PALETTE, 8), "x").pixels,
      (std::vector<uint8_t>{3, 252, 7, 200, 55, 7}));
  EXPECT_EQ(
      decode_image(encode_png(std::vector<uint8_t>{0b10100000}, 1, 3, PNG_COLOR_TYPE_GRAY, 1), "x").pixels,
      (std::vector<uint8_t>{255, 0, 255}));
  EXPECT_EQ(decode_image(
                encode_png(std::vector<uint8_t>{0xff, 0xff, 0x80, 0x80}, 1, 2, PNG_COLOR_TYPE_GRAY, 16), "x")
                .pixels,
            (std::vector<uint8_t>{255, 128}));
}

TEST(Png, EveryTruncationAndEveryFlippedBitInTheDataIsAnError) {
  Rng rng(11);
  const ImageShape shape = {9, 9, 3};
  const std::vector<uint8_t> file = encode_png(random_bytes(shape.bytes(), rng), shape);
  for (size_t size = 8; size < file.size(); ++size) {
    const std::string error = decode_error(std::span(file).first(size));
    EXPECT_EQ(error, "cat/1.img: broken PNG: the file is truncated") << size;
  }
  for (int trial = 0; trial < 200; ++trial) {
    std::vector<uint8_t> damaged = file;
    damaged[45 + rng.below(200)] ^= static_cast<uint8_t>(1U << rng.below(8));  // inside IDAT
    EXPECT_TRUE(decode_error(damaged).starts_with("cat/1.img: broken PNG: "));
  }
}

// Bytes of address space that this process has ("VmSize:"), and the most that it had ("VmPeak:").
int64_t address_space(std::string_view field) {
  std::ifstream status("/proc/self/status");
  for (std::string line; std::getline(status, line);)
    if (line.starts_with(field)) return std::stoll(line.substr(field.size())) * 1024;
  ADD_FAILURE() << field;
  return 0;
}

TEST(Png, TakesNoMemoryForWhatPixelsDoNotNeed) {
  std::vector<uint8_t> file = encode_png(std::vector<uint8_t>{7}, {1, 1, 1});
  // Behind the header's chunk: 1.4 GB of a suggested palette, of which nothing follows.
  constexpr std::array<uint8_t, 8> kPalette = {0x57, 0x57, 0x57, 0x57, 's', 'P', 'L', 'T'};
  constexpr size_t kHeaderEnd = 33;
  file.insert(file.begin() + kHeaderEnd, kPalette.begin(), kPalette.end());
  const int64_t most = std::max(address_space("VmPeak:"), address_space("VmSize:") + (int64_t{1} << 30));
  EXPECT_EQ(decode_error(file), "cat/1.img: broken PNG: the file is truncated");
  EXPECT_LT(address_space("VmPeak:"), most);
}

TEST(ImageFile, RefusesEmptyAndUnknownFiles) {
  EXPECT_EQ(decode_error({}), "cat/1.img: is empty where a JPEG or PNG image is expected");
  const std::string gif = "GIF89a plus something";
  EXPECT_EQ(decode_error({reinterpret_cast<const uint8_t*>(gif.data()), gif.size()}),
            "cat/1.img: is neither a JPEG nor a PNG image");
}

constexpr uint8_t kBaseline = 0xc0;
[[maybe_unused]] constexpr uint8_t kProgressive = 0xc2;  // not under sanitizers

// A JPEG that announces so many pixels each way, and this kind of scans.
std::vector<uint8_t> jpeg_of_side(uint16_t side, uint8_t kind = kBaseline, Mode mode = Mode::Rgb) {
  const ImageShape shape = {8, 8, mode == Mode::Cmyk ? 4 : 3};
  std::vector<uint8_t> jpeg = encode_jpeg(gradient(shape), shape, 90, mode);
  constexpr std::array<uint8_t, 2> kFrame = {0xff, kBaseline};
  const auto frame = std::ranges::search(jpeg, kFrame).begin() - jpeg.begin();
  jpeg.at(static_cast<size_t>(frame) + 1) = kind;
  for (const size_t at : {5U, 7U}) {
    jpeg.at(static_cast<size_t>(frame) + at) = static_cast<uint8_t>(side >> 8U);
    jpeg.at(static_cast<size_t>(frame) + at + 1) = static_cast<uint8_t>(side);
  }
  return jpeg;
}

TEST(ImageFile, RefusesBombsByTheirHeaderAlone) {
  // A PNG header that announces 60,000 x 60,000 pixels, with a right checksum.
  std::vector<uint8_t> png = encode_png(std::vector<uint8_t>{1}, {1, 1, 1});
  const auto set_size = [&](uint32_t width, uint32_t height) {
    for (size_t i = 0; i < 4; ++i) {
      png[16 + i] = static_cast<uint8_t>(width >> (24 - 8 * i));
      png[20 + i] = static_cast<uint8_t>(height >> (24 - 8 * i));
    }
    uint32_t crc = 0xffffffff;  // CRC-32 over the chunk's type and data
    for (size_t i = 12; i < 29; ++i) {
      crc ^= png[i];
      for (int bit = 0; bit < 8; ++bit) crc = crc >> 1 ^ ((crc & 1) != 0 ? 0xedb88320U : 0U);
    }
    for (size_t i = 0; i < 4; ++i) png[29 + i] = static_cast<uint8_t>(~crc >> (24 - 8 * i));
  };
  set_size(60000, 60000);
  EXPECT_EQ(decode_error(png),
            "cat/1.img: 60000x60000 pixels are more than the 64 million an image may have");
  set_size(1000000, 1000000);
  EXPECT_EQ(decode_error(png),
            "cat/1.img: 1000000x1000000 pixels are more than the 64 million an image may have");
  set_size(0x7fffffff, 0x7fffffff);
  EXPECT_TRUE(decode_error(png).starts_with("cat/1.img: broken PNG: ")) << decode_error(png);

  EXPECT_EQ(decode_error(jpeg_of_side(0xfdfd)),
            "cat/1.img: 65021x65021 pixels are more than the 64 million an image may have");
}

TEST(ImageFile, ALargeOneWaitsForTheMemoryThatOthersHold) {
  constexpr int kSide = 4096;  // in bytes, as much as is asked for
  const std::vector<uint8_t> file =
      encode_png(std::vector<uint8_t>(kSide * (kSide / 8)), kSide, kSide, PNG_COLOR_TYPE_GRAY, 1);
  MemoryShare held(memory_left(), "all");
  std::future<DecodedImage> image = std::async(std::launch::async, [&] { return decode_image(file, "x"); });
  EXPECT_EQ(image.wait_for(std::chrono::milliseconds(50)), std::future_status::timeout);
  EXPECT_EQ(decode_error(encode_png(std::vector<uint8_t>{7}, {1, 1, 1})), "no error") << "a small one";
  held = {};
  EXPECT_EQ(image.get().shape, (ImageShape{kSide, kSide, 1}));
}

// What is left of memory is less than any of these pictures takes.
#ifndef RETORT_SANITIZED  // whose own memory has no room in it

class LittleMemory : public testing::Test {
 protected:
  // "0.2 GB" of the sentence that refuses the file.
  static std::string refused(std::span<const uint8_t> file) {
    const std::string sentence = decode_error(file);
    const std::string start = "cat/1.img: its pixels would take ";
    return sentence.starts_with(start) && sentence.ends_with(" GB of memory that are left")
               ? sentence.substr(start.size(), 6)
               : sentence;
  }

 private:
  const AddressSpaceLimit limit_{uint64_t{50} << 20U};
};

TEST_F(LittleMemory, IsAskedForBeforePixelsTakeIt) {
  constexpr int kSide = 8000;
  EXPECT_EQ(
      refused(encode_png(std::vector<uint8_t>(kSide * (kSide / 8)), kSide, kSide, PNG_COLOR_TYPE_GRAY, 1)),
      "0.1 GB");
  const std::vector<uint8_t> jpeg = jpeg_of_side(kSide);
  EXPECT_EQ(refused(jpeg), "0.2 GB");
  EXPECT_EQ(refused(with_segment(jpeg, exif(6, true))), "0.4 GB") << "it is turned";
  EXPECT_EQ(refused(jpeg_of_side(kSide, kProgressive)), "0.4 GB")
      << "coefficients of two bytes, half as many in colours";
  EXPECT_EQ(refused(jpeg_of_side(kSide, kBaseline, Mode::Cmyk)), "0.5 GB") << "inks, and colours of them";
  EXPECT_EQ(decode_error(encode_png(std::vector<uint8_t>{7}, {1, 1, 1})), "no error");
}

TEST_F(LittleMemory, IsEnoughToResizeATallPicture) {
  constexpr ImageShape kTall = {1'000'000, 8, 1};
  constexpr ImageShape kSmall = {96, 96, 1};
  std::vector<uint8_t> small(kSmall.bytes());
  resize(std::vector<uint8_t>(kTall.bytes(), 7), kTall, small, kSmall);
  EXPECT_EQ(small, std::vector<uint8_t>(kSmall.bytes(), 7));
  constexpr ImageShape kFlat = {1, 4096, 1};  // of all rows at once
  std::vector<uint8_t> flat(kFlat.bytes());
  EXPECT_TRUE(usage_error([&] {
                resize(std::vector<uint8_t>(kTall.bytes(), 7), kTall, flat, kFlat);
              }).starts_with("resizing an image would take 8.2 GB, more than "));
}

#endif

}  // namespace
}  // namespace retort::data
