// JPEG and PNG files.
#pragma once

#include <cstdint>
#include <span>
#include <string>
#include <vector>

#include "base/memory_share.h"
#include "data/dataset.h"

namespace retort::data {

// Larger images are refused before any memory is taken for them.
inline constexpr int64_t kMaxImagePixels = int64_t{64} << 20;
// The same for their files: as many bytes as such a picture takes without compression, and a third more.
inline constexpr uint64_t kMostImageFileBytes = uint64_t{256} << 20;

struct DecodedImage {
  MemoryShare memory;  // what decoding took at most; first, so that it is given back last
  ImageShape shape;    // 1 channel when the file is grey, else 3
  std::vector<uint8_t> pixels;
};

// Decodes a whole file in memory; its first bytes, not its name, tell which kind it is. JPEG: colour is
// always decoded to RGB with libjpeg's default settings (accurate integer DCT, smooth chroma upsampling);
// CMYK becomes RGB; a camera's Exif orientation turns the picture upright. PNG: palettes become RGB, 16 bits
// become 8, an alpha channel is dropped (not composited). Throws Error(Usage) that begins with `name`: empty,
// unknown kind, broken, truncated, too large for memory. Of large images as many are decoded at a time, on all
// threads, as memory holds; a thread keeps none while it decodes the next.
DecodedImage decode_image(std::span<const uint8_t> file, const std::string& name);

// A PNG file of these pixels, 8 bits a channel. `shape` has 1 or 3 channels.
std::vector<uint8_t> png_file(std::span<const uint8_t> pixels, ImageShape shape);

}  // namespace retort::data
