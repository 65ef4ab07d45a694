// What packages are made of; private to this room.
#pragma once

#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "deploy/exporter.h"

namespace retort::deploy {

// The golden inputs of a model and what int8::Interpreter answers; raw bytes, one after the other.
struct Golden {
  size_t count = 0;
  std::vector<uint8_t> inputs;
  std::vector<uint8_t> outputs;
  std::vector<uint8_t> image;  // that the first input was made of
};
Golden golden(const ModelToExport& model);
// Index of the largest output of golden input `index`.
size_t predicted_class(const ModelToExport& model, const Golden& golden, size_t index);

// Whether an image can be its input: height × width × (1 or 3) channels.
bool takes_images(const int8::QuantGraph& graph);

// "@word@" replaced, from the name of a file of deploy/runtime.
using Words = std::vector<std::pair<std::string_view, std::string>>;
std::string filled_in(std::string_view file, const Words& words);
// name, MACRO, version, sentence (about the model, in ASCII), type and output_type, quantized (an expression of
// `byte`), byte_table, crc32 and cortex_m (functions).
Words words_of(const ModelToExport& model);

// NAME_golden.h.
std::string golden_text(const ModelToExport& model, const Golden& golden);
// stored_image.h: the bytes of Golden::image, for an example.
std::string stored_image_text(const ModelToExport& model, const Golden& golden);
// MODEL_CARD.md: what it is, how good, how large, how it was made.
std::string card_text(const ModelToExport& model);

// NAME.h, NAME.c, NAME_weights.h, NAME_golden.h, NAME_self_test.{h,c} and, where it takes images,
// NAME_image.{h,c}: the C code that most packages carry. Headers and sources in these folders ("" or "src/").
void add_c_code(Files& files, const ModelToExport& model, const Golden& golden, const std::string& headers,
                const std::string& sources);

}  // namespace retort::deploy
