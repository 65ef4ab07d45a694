#include "data/fixtures.h"

#include <png.h>
#include <zlib.h>

#include <csetjmp>
#include <cstdio>
#include <cstdlib>

// jpeglib.h needs FILE declared before it.
#include <jpeglib.h>

#include <array>
#include <fstream>

namespace retort::data {

namespace fs = std::filesystem;

namespace {

fs::path make_folder() {
  std::string pattern = (fs::temp_directory_path() / "retort-data-XXXXXX").string();
  if (::mkdtemp(pattern.data()) == nullptr) throw_failure("{}: cannot be created", pattern);
  return pattern;
}

}  // namespace

TestFolder::TestFolder() : path_(make_folder()), cache_(make_folder()) {
  ::setenv("RETORT_CACHE", cache_.c_str(), 1);
}

TestFolder::~TestFolder() {
  ::unsetenv("RETORT_CACHE");
  std::error_code ignored;
  fs::remove_all(path_, ignored);
  fs::remove_all(cache_, ignored);
}

std::shared_ptr<const Dataset> load(const std::string& spec, BadImages bad_images) {
  LoadOptions options;
  options.bad_images = bad_images;
  return load_dataset(spec, options, silent_progress());
}

std::string load_error(const std::string& spec, BadImages bad_images) {
  return usage_error([&] { load(spec, bad_images); });
}

std::vector<uint8_t> random_bytes(size_t count, Rng& rng) {
  std::vector<uint8_t> bytes(count);
  for (uint8_t& byte : bytes) byte = static_cast<uint8_t>(rng.below(256));
  return bytes;
}

void write_bytes(const fs::path& path, std::span<const uint8_t> bytes) {
  // Not write_file_atomic: its syncing would make the suites slow.
  fs::create_directories(path.parent_path());
  std::ofstream file(path, std::ios::binary | std::ios::trunc);
  file.write(reinterpret_cast<const char*>(bytes.data()), static_cast<std::streamsize>(bytes.size()));
  if (!file.flush()) throw_failure("{}: cannot be written", path.string());
}

std::vector<uint8_t> encode_jpeg(std::span<const uint8_t> pixels, ImageShape shape, int quality, Mode mode) {
  jpeg_compress_struct info{};
  jpeg_error_mgr errors{};
  info.err = jpeg_std_error(&errors);
  jpeg_create_compress(&info);
  unsigned char* buffer = nullptr;
  unsigned long size = 0;
  jpeg_mem_dest(&info, &buffer, &size);
  info.image_width = static_cast<JDIMENSION>(shape.width);
  info.image_height = static_cast<JDIMENSION>(shape.height);
  info.input_components = shape.channels;
  info.in_color_space = mode == Mode::Gray ? JCS_GRAYSCALE : mode == Mode::Cmyk ? JCS_CMYK : JCS_RGB;
  jpeg_set_defaults(&info);
  jpeg_set_quality(&info, quality, TRUE);
  jpeg_start_compress(&info, TRUE);
  const size_t row_bytes = static_cast<size_t>(shape.width) * shape.channels;
  while (info.next_scanline < info.image_height) {
    auto* row = const_cast<JSAMPROW>(pixels.data() + info.next_scanline * row_bytes);
    jpeg_write_scanlines(&info, &row, 1);
  }
  jpeg_finish_compress(&info);
  jpeg_destroy_compress(&info);
  std::vector<uint8_t> file(buffer, buffer + size);
  std::free(buffer);
  return file;
}

std::vector<uint8_t> encode_png(std::span<const uint8_t> rows, int height, int width, int color_type,
                                int bit_depth, bool interlaced) {
  std::vector<uint8_t> file;
  png_structp png = png_create_write_struct(PNG_LIBPNG_VER_STRING, nullptr, nullptr, nullptr);
  png_infop info = png_create_info_struct(png);
  png_set_write_fn(
      png, &file,
      [](png_structp writer, png_bytep bytes, png_size_t count) {
        auto* out = static_cast<std::vector<uint8_t>*>(png_get_io_ptr(writer));
        out->insert(out->end(), bytes, bytes + count);
      },
      nullptr);
  png_set_IHDR(png, info, static_cast<png_uint_32>(width), static_cast<png_uint_32>(height), bit_depth,
               color_type, interlaced ? PNG_INTERLACE_ADAM7 : PNG_INTERLACE_NONE,
               PNG_COMPRESSION_TYPE_DEFAULT, PNG_FILTER_TYPE_DEFAULT);
  if (color_type == PNG_COLOR_TYPE_PALETTE) {
    // Entry i is (i, 255 − i, 7).
    std::array<png_color, 256> palette{};
    for (size_t i = 0; i < palette.size(); ++i)
      palette[i] = {static_cast<png_byte>(i), static_cast<png_byte>(255 - i), 7};
    png_set_PLTE(png, info, palette.data(), 1 << bit_depth);
  }
  png_write_info(png, info);
  const size_t row_bytes = rows.size() / static_cast<size_t>(height);
  std::vector<png_bytep> pointers;
  for (int y = 0; y < height; ++y)
    pointers.push_back(const_cast<png_bytep>(rows.data() + static_cast<size_t>(y) * row_bytes));
  png_write_image(png, pointers.data());
  png_write_end(png, nullptr);
  png_destroy_write_struct(&png, &info);
  return file;
}

std::vector<uint8_t> encode_png(std::span<const uint8_t> pixels, ImageShape shape) {
  return encode_png(pixels, shape.height, shape.width,
                    shape.channels == 1 ? PNG_COLOR_TYPE_GRAY : PNG_COLOR_TYPE_RGB, 8);
}

std::vector<uint8_t> gzip(std::span<const uint8_t> bytes) {
  z_stream stream{};
  constexpr int kGzip = 16;
  deflateInit2(&stream, Z_DEFAULT_COMPRESSION, Z_DEFLATED, MAX_WBITS + kGzip, 8, Z_DEFAULT_STRATEGY);
  std::vector<uint8_t> file(deflateBound(&stream, bytes.size()) + 64);
  stream.next_in = const_cast<Bytef*>(bytes.data());
  stream.avail_in = static_cast<uInt>(bytes.size());
  stream.next_out = file.data();
  stream.avail_out = static_cast<uInt>(file.size());
  deflate(&stream, Z_FINISH);
  file.resize(stream.total_out);
  deflateEnd(&stream);
  return file;
}

std::vector<uint8_t> encode_idx(std::span<const uint32_t> dimensions, std::span<const uint8_t> bytes) {
  std::vector<uint8_t> file = {0, 0, 8, static_cast<uint8_t>(dimensions.size())};
  for (const uint32_t dimension : dimensions)
    for (const int shift : {24, 16, 8, 0}) file.push_back(static_cast<uint8_t>(dimension >> shift));
  file.insert(file.end(), bytes.begin(), bytes.end());
  return file;
}

}  // namespace retort::data
