#include "data/image_file.h"

#include <algorithm>
#include <array>
#include <csetjmp>
#include <cstdio>
#include <cstring>
#include <utility>

// jpeglib.h needs size_t and FILE declared before it.
#include <jpeglib.h>

#include <jerror.h>
#include <png.h>

#include "base/error.h"

namespace retort::data {
namespace {

constexpr std::array<uint8_t, 3> kJpegMagic = {0xff, 0xd8, 0xff};
constexpr std::array<uint8_t, 8> kPngMagic = {0x89, 'P', 'N', 'G', '\r', '\n', 0x1a, '\n'};

bool starts_with(std::span<const uint8_t> file, std::span<const uint8_t> magic) {
  return file.size() >= magic.size() && std::memcmp(file.data(), magic.data(), magic.size()) == 0;
}

void check_size(uint64_t width, uint64_t height, const std::string& name) {
  // Both below 2³², so the product can't overflow.
  if (width * height > static_cast<uint64_t>(kMaxImagePixels))
    throw_usage("{}: {}x{} pixels are more than the {} million an image may have", name, width, height,
                kMaxImagePixels >> 20);
}

MemoryShare share_for_pixels(uint64_t bytes, const std::string& name) {
  return {bytes, name + ": its pixels"};
}

// ---- Exif: how the camera was held.

constexpr int kExifMarker = JPEG_APP0 + 1;

// Orientation 1 to 8 of an APP1 segment: "Exif", then a TIFF header and its first directory. Whatever is not
// as it should be means 1, as it lies. <https://www.cipa.jp/std/documents/e/DC-008-2012_E.pdf>
int exif_orientation(std::span<const uint8_t> segment) {
  constexpr std::array<uint8_t, 6> kExif = {'E', 'x', 'i', 'f', 0, 0};
  constexpr uint32_t kTag = 0x0112;
  constexpr uint32_t kShort = 3;
  constexpr size_t kEntryBytes = 12;
  if (!starts_with(segment, kExif)) return 1;
  const auto tiff = segment.subspan(kExif.size());
  const bool little = !tiff.empty() && tiff[0] == 'I';
  // Zero beyond the end.
  const auto number = [&](size_t at, size_t bytes) {
    uint32_t value = 0;
    for (size_t i = 0; i < bytes; ++i) {
      const size_t place = at + (little ? bytes - 1 - i : i);
      value = value << 8 | (place < tiff.size() ? tiff[place] : 0U);
    }
    return value;
  };
  if (number(2, 2) != 42) return 1;
  const size_t directory = number(4, 4);
  const size_t entries = number(directory, 2);
  for (size_t i = 0; i < entries; ++i) {
    const size_t entry = directory + 2 + i * kEntryBytes;
    if (entry + kEntryBytes > tiff.size()) return 1;
    if (number(entry, 2) != kTag) continue;
    const uint32_t value = number(entry + 8, 2);
    return number(entry + 2, 2) == kShort && value >= 1 && value <= 8 ? static_cast<int>(value) : 1;
  }
  return 1;
}

// Makes the picture upright. From 5 on rows and columns change places.
void turn(DecodedImage& image, int orientation) {
  if (orientation == 1) return;
  const bool transposed = orientation >= 5;
  const bool from_bottom = orientation == 3 || orientation == 4 || orientation == 6 || orientation == 7;
  const bool from_right = orientation == 2 || orientation == 3 || orientation == 7 || orientation == 8;
  const auto height = static_cast<size_t>(image.shape.height);
  const auto width = static_cast<size_t>(image.shape.width);
  const auto channels = static_cast<size_t>(image.shape.channels);
  std::vector<uint8_t> turned(image.pixels.size());
  uint8_t* out = turned.data();
  for (size_t y = 0; y < (transposed ? width : height); ++y)
    for (size_t x = 0; x < (transposed ? height : width); ++x) {
      const size_t row = transposed ? x : y;
      const size_t column = transposed ? y : x;
      const uint8_t* pixel = image.pixels.data() + ((from_bottom ? height - 1 - row : row) * width +
                                                    (from_right ? width - 1 - column : column)) *
                                                       channels;
      out = std::copy_n(pixel, channels, out);
    }
  image.pixels = std::move(turned);
  if (transposed) std::swap(image.shape.height, image.shape.width);
}

// ---- JPEG. libjpeg reports errors by a call that must not return, so decoding runs between setjmp and
// longjmp; in between there is no object with a destructor.

struct Jpeg {
  jpeg_decompress_struct info{};
  jpeg_error_mgr errors{};
  jpeg_progress_mgr progress{};
  std::jmp_buf escape{};
  std::array<char, JMSG_LENGTH_MAX> message{};
  Jpeg() = default;
  ~Jpeg() { jpeg_destroy_decompress(&info); }
  Jpeg(const Jpeg&) = delete;
  Jpeg& operator=(const Jpeg&) = delete;
};

[[noreturn]] void jpeg_fail(j_common_ptr info) {
  auto* jpeg = static_cast<Jpeg*>(info->client_data);
  info->err->format_message(info, jpeg->message.data());
  std::longjmp(jpeg->escape, 1);
}

// libjpeg fills what is missing with grey and only warns; for training data that is a broken image.
void jpeg_warn(j_common_ptr info, int level) {
  if (level >= 0) return;
  switch (info->err->msg_code) {
    case JWRN_JPEG_EOF:
    case JWRN_HIT_MARKER:
    case JWRN_HUFF_BAD_CODE:
    case JWRN_ARITH_BAD_CODE:
    case JWRN_MUST_RESYNC:
      jpeg_fail(info);
    default:
      break;
  }
}

// A few kilobytes can hold thousands of progressive scans of a large picture, each costing a full pass.
void jpeg_limit_scans(j_common_ptr info) {
  constexpr int kMaxScans = 200;
  if (reinterpret_cast<j_decompress_ptr>(info)->input_scan_number > kMaxScans) {
    auto* jpeg = static_cast<Jpeg*>(info->client_data);
    std::snprintf(jpeg->message.data(), jpeg->message.size(), "more than %d progressive scans", kMaxScans);
    std::longjmp(jpeg->escape, 1);
  }
}

bool jpeg_read_start(Jpeg& jpeg, const uint8_t* bytes, size_t size) {
  jpeg.info.err = jpeg_std_error(&jpeg.errors);
  jpeg.errors.error_exit = jpeg_fail;
  jpeg.errors.emit_message = jpeg_warn;
  jpeg.errors.output_message = [](j_common_ptr) {};
  jpeg.info.client_data = &jpeg;
  if (setjmp(jpeg.escape) != 0) return false;
  jpeg_create_decompress(&jpeg.info);
  jpeg.info.client_data = &jpeg;
  jpeg.progress.progress_monitor = jpeg_limit_scans;
  jpeg.info.progress = &jpeg.progress;
  jpeg_mem_src(&jpeg.info, bytes, size);
  jpeg_save_markers(&jpeg.info, kExifMarker, 0xffff);
  jpeg_read_header(&jpeg.info, TRUE);
  switch (jpeg.info.jpeg_color_space) {
    case JCS_GRAYSCALE:
      jpeg.info.out_color_space = JCS_GRAYSCALE;
      break;
    case JCS_CMYK:
    case JCS_YCCK:
      jpeg.info.out_color_space = JCS_CMYK;
      break;
    default:
      jpeg.info.out_color_space = JCS_RGB;
  }
  return true;
}

bool jpeg_read_pixels(Jpeg& jpeg, uint8_t* pixels, size_t row_bytes) {
  if (setjmp(jpeg.escape) != 0) return false;
  jpeg_start_decompress(&jpeg.info);
  while (jpeg.info.output_scanline < jpeg.info.output_height) {
    JSAMPROW row = pixels + jpeg.info.output_scanline * row_bytes;
    jpeg_read_scanlines(&jpeg.info, &row, 1);
  }
  jpeg_finish_decompress(&jpeg.info);
  return true;
}

// Of a picture in several scans libjpeg keeps the coefficients of all blocks until the last one has come.
uint64_t coefficient_bytes(jpeg_decompress_struct& info) {
  if (jpeg_has_multiple_scans(&info) == FALSE) return 0;
  uint64_t blocks = 0;
  for (const jpeg_component_info& part : std::span(info.comp_info, static_cast<size_t>(info.num_components)))
    blocks += uint64_t{part.width_in_blocks} * part.height_in_blocks;
  return blocks * sizeof(JBLOCK);
}

// Adobe's programs store inverted inks.
std::vector<uint8_t> cmyk_to_rgb(const std::vector<uint8_t>& cmyk, uint8_t invert) {
  std::vector<uint8_t> rgb(cmyk.size() / 4 * 3);
  for (size_t pixel = 0; pixel < cmyk.size() / 4; ++pixel)
    for (size_t c = 0; c < 3; ++c) {
      const unsigned ink = cmyk[4 * pixel + c] ^ invert;
      const unsigned black = cmyk[4 * pixel + 3] ^ invert;
      rgb[3 * pixel + c] = static_cast<uint8_t>(((255 - ink) * (255 - black) + 127) / 255);
    }
  return rgb;
}

DecodedImage decode_jpeg(std::span<const uint8_t> file, const std::string& name) {
  Jpeg jpeg;
  if (!jpeg_read_start(jpeg, file.data(), file.size()))
    throw_usage("{}: broken JPEG: {}", name, jpeg.message.data());
  check_size(jpeg.info.image_width, jpeg.info.image_height, name);
  const int channels = jpeg.info.out_color_space == JCS_GRAYSCALE ? 1
                       : jpeg.info.out_color_space == JCS_CMYK    ? 4
                                                                  : 3;
  int orientation = 1;  // the segments go when the pixels have been read
  for (const auto* marker = jpeg.info.marker_list; marker != nullptr && orientation == 1;
       marker = marker->next)
    orientation = exif_orientation({marker->data, marker->data_length});
  DecodedImage image;
  image.shape = {static_cast<int>(jpeg.info.image_height), static_cast<int>(jpeg.info.image_width), channels};
  const uint64_t bytes = image.shape.bytes();
  const bool copied = channels == 4 || orientation != 1;
  image.memory = share_for_pixels(bytes + std::max(coefficient_bytes(jpeg.info), copied ? bytes : 0), name);
  image.pixels.resize(bytes);
  if (!jpeg_read_pixels(jpeg, image.pixels.data(), static_cast<size_t>(image.shape.width) * channels))
    throw_usage("{}: broken JPEG: {}", name, jpeg.message.data());
  if (channels == 4) {
    image.pixels = cmyk_to_rgb(image.pixels, jpeg.info.saw_Adobe_marker != 0 ? 0xff : 0);
    image.shape.channels = 3;
  }
  turn(image, orientation);
  return image;
}

// ---- PNG, in the same manner.

struct Png {
  png_structp png = nullptr;
  png_infop info = nullptr;
  std::span<const uint8_t> file;
  size_t offset = 0;
  std::array<char, 200> message{};
  Png() = default;
  ~Png() { png_destroy_read_struct(&png, &info, nullptr); }
  Png(const Png&) = delete;
  Png& operator=(const Png&) = delete;
};

[[noreturn]] void png_fail(png_structp png, png_const_charp message) {
  auto* reader = static_cast<Png*>(png_get_error_ptr(png));
  std::snprintf(reader->message.data(), reader->message.size(), "%s", message);
  png_longjmp(png, 1);
}

void png_ignore_warning(png_structp, png_const_charp) {}

void png_take_bytes(png_structp png, png_bytep out, size_t count) {
  auto* reader = static_cast<Png*>(png_get_io_ptr(png));
  if (count > reader->file.size() - reader->offset) png_error(png, "the file is truncated");
  std::memcpy(out, reader->file.data() + reader->offset, count);
  reader->offset += count;
}

bool png_read_start(Png& reader) {
  if (setjmp(png_jmpbuf(reader.png)) != 0) return false;
  png_set_read_fn(reader.png, &reader, png_take_bytes);
  // What pixels do not need (profiles, texts, …) is passed over: libpng would take as much memory as it announces.
  png_set_keep_unknown_chunks(reader.png, PNG_HANDLE_CHUNK_NEVER, nullptr, -1);
  png_read_info(reader.png, reader.info);
  png_set_scale_16(reader.png);
  png_set_packing(reader.png);
  const png_byte color = png_get_color_type(reader.png, reader.info);
  if (color == PNG_COLOR_TYPE_PALETTE) png_set_palette_to_rgb(reader.png);
  if (color == PNG_COLOR_TYPE_GRAY) png_set_expand_gray_1_2_4_to_8(reader.png);
  png_set_strip_alpha(reader.png);
  png_set_interlace_handling(reader.png);
  png_read_update_info(reader.png, reader.info);
  return true;
}

bool png_read_pixels(Png& reader, png_bytepp rows) {
  if (setjmp(png_jmpbuf(reader.png)) != 0) return false;
  png_read_image(reader.png, rows);
  png_read_end(reader.png, nullptr);
  return true;
}

DecodedImage decode_png(std::span<const uint8_t> file, const std::string& name) {
  Png reader;
  reader.file = file;
  reader.png = png_create_read_struct(PNG_LIBPNG_VER_STRING, &reader, png_fail, png_ignore_warning);
  if (reader.png != nullptr) reader.info = png_create_info_struct(reader.png);
  if (reader.info == nullptr) throw_failure("{}: libpng cannot be started", name);
  if (!png_read_start(reader)) throw_usage("{}: broken PNG: {}", name, reader.message.data());
  const uint32_t width = png_get_image_width(reader.png, reader.info);
  const uint32_t height = png_get_image_height(reader.png, reader.info);
  check_size(width, height, name);
  DecodedImage image;
  image.shape = {static_cast<int>(height), static_cast<int>(width),
                 png_get_channels(reader.png, reader.info)};
  const size_t row_bytes = static_cast<size_t>(width) * image.shape.channels;
  if (png_get_rowbytes(reader.png, reader.info) != row_bytes)
    throw_usage("{}: broken PNG: its pixels have an unknown layout", name);
  image.memory = share_for_pixels(image.shape.bytes() + height * sizeof(png_bytep), name);
  image.pixels.resize(image.shape.bytes());
  std::vector<png_bytep> rows(height);
  for (size_t y = 0; y < height; ++y) rows[y] = image.pixels.data() + y * row_bytes;
  if (!png_read_pixels(reader, rows.data())) throw_usage("{}: broken PNG: {}", name, reader.message.data());
  return image;
}

}  // namespace

DecodedImage decode_image(std::span<const uint8_t> file, const std::string& name) {
  if (file.empty()) throw_usage("{}: is empty where a JPEG or PNG image is expected", name);
  if (starts_with(file, kJpegMagic)) return decode_jpeg(file, name);
  if (starts_with(file, kPngMagic)) return decode_png(file, name);
  throw_usage("{}: is neither a JPEG nor a PNG image", name);
}

std::vector<uint8_t> png_file(std::span<const uint8_t> pixels, ImageShape shape) {
  png_image image{};
  image.version = PNG_IMAGE_VERSION;
  image.width = static_cast<png_uint_32>(shape.width);
  image.height = static_cast<png_uint_32>(shape.height);
  image.format = shape.channels == 1 ? PNG_FORMAT_GRAY : PNG_FORMAT_RGB;
  png_alloc_size_t bytes = PNG_IMAGE_PNG_SIZE_MAX(image);
  std::vector<uint8_t> file(bytes);
  if (png_image_write_to_memory(&image, file.data(), &bytes, 0, pixels.data(), 0, nullptr) == 0)
    throw_failure("a PNG of {}x{}x{} cannot be written: {}", shape.height, shape.width, shape.channels,
                  image.message);
  file.resize(bytes);
  return file;
}

}  // namespace retort::data
