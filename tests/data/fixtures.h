// Small files of every format, written into a folder that goes away with the test.
#pragma once

#include <cstdint>
#include <filesystem>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "base/error.h"
#include "base/rng.h"
#include "data/dataset.h"
#include "data/reader.h"

namespace retort::data {

// Also the cache folder while it lives, so that tests see no one else's cache.
class TestFolder {
 public:
  TestFolder();
  ~TestFolder();
  TestFolder(const TestFolder&) = delete;
  TestFolder& operator=(const TestFolder&) = delete;
  [[nodiscard]] const std::filesystem::path& path() const { return path_; }
  [[nodiscard]] std::filesystem::path operator/(std::string_view name) const { return path_ / name; }
  // Where `name` lies, as error messages spell it.
  [[nodiscard]] std::string at(std::string_view name) const { return (path_ / name).string(); }

 private:
  std::filesystem::path path_;
  std::filesystem::path cache_;
};

// The sentence of the Error(Usage) that `action` throws; "no error" when it throws none.
template <typename Action>
std::string usage_error(const Action& action) {
  try {
    action();
  } catch (const Error& error) {
    return error.code() == ErrorCode::Usage ? error.what() : std::string("another code: ") + error.what();
  }
  return "no error";
}

std::string load_error(const std::string& spec, BadImages bad_images = BadImages::Fail);
std::shared_ptr<const Dataset> load(const std::string& spec, BadImages bad_images = BadImages::Fail);

std::vector<uint8_t> random_bytes(size_t count, Rng& rng);

void write_bytes(const std::filesystem::path& path, std::span<const uint8_t> bytes);

enum class Mode { Gray, Rgb, Cmyk };
std::vector<uint8_t> encode_jpeg(std::span<const uint8_t> pixels, ImageShape shape, int quality = 90,
                                 Mode mode = Mode::Rgb);
// Any of PNG's pixel layouts: `color_type` and `bit_depth` as in the format; `pixels` are packed rows.
std::vector<uint8_t> encode_png(std::span<const uint8_t> rows, int height, int width, int color_type,
                                int bit_depth, bool interlaced = false);
std::vector<uint8_t> encode_png(std::span<const uint8_t> pixels, ImageShape shape);

std::vector<uint8_t> gzip(std::span<const uint8_t> bytes);
// An IDX file of unsigned bytes.
std::vector<uint8_t> encode_idx(std::span<const uint32_t> dimensions, std::span<const uint8_t> bytes);

}  // namespace retort::data
