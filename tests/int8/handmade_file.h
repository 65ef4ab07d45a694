// TensorFlow Lite files made field by field, with any number in any place: what no writer of ours makes.
#pragma once

#include <flatbuffers/flatbuffers.h>

#include <cmath>
#include <cstdint>
#include <functional>
#include <optional>
#include <string>
#include <vector>

namespace retort::int8 {

// The format's own numbers.
namespace format {
inline constexpr int kFloat32 = 0;
inline constexpr int kFloat16 = 1;
inline constexpr int kInt32 = 2;
inline constexpr int kUint8 = 3;
inline constexpr int kInt8 = 9;
inline constexpr int kInt4 = 17;
inline constexpr int kConv2D = 3;
inline constexpr int kFullyConnected = 9;
inline constexpr int kRelu = 19;
inline constexpr int kTanh = 28;
inline constexpr int kCustom = 32;
inline constexpr int kConcatenation = 2;
inline constexpr int kConvOptions = 1;
inline constexpr int kFullyConnectedOptions = 8;
}  // namespace format

struct HandmadeFile {
  struct Tensor {
    std::optional<std::vector<int32_t>> shape;  // nothing: no vector at all
    int type = format::kInt8;
    uint32_t buffer = 0;
    std::string name = "tensor";
    std::vector<float> scales = {0.5F};
    std::vector<int64_t> zero_points = {0};
    std::vector<int32_t> signature = {};
    int axis = 0;
    bool variable = false;
    uint32_t external_buffer = 0;
  };
  struct Operator {
    uint32_t code = 0;
    std::optional<std::vector<int32_t>> inputs;
    std::optional<std::vector<int32_t>> outputs;
    int options = 0;                    // which table of the union
    std::vector<int32_t> numbers = {};  // four-byte fields from `first_number` on
    std::vector<int8_t> bytes = {};     // one-byte fields from the first on
    int first_number = 1;
  };
  struct Buffer {
    std::vector<uint8_t> data;
    uint64_t offset = 0;
    uint64_t size = 0;
  };
  struct Code {
    int builtin = 0;
    std::string custom = "";
  };
  uint32_t version = 3;
  std::vector<Code> codes = {};
  std::vector<Tensor> tensors = {};
  std::vector<Operator> operators = {};
  std::optional<std::vector<int32_t>> inputs = std::vector<int32_t>{0};
  std::optional<std::vector<int32_t>> outputs = std::vector<int32_t>{1};
  std::vector<Buffer> buffers = {{}};
  int subgraphs = 1;
  enum class Lists { All, NoTensors, NoOperators, NoCodes, NoBuffers, NoSubgraphs } lists = Lists::All;

  [[nodiscard]] std::vector<uint8_t> bytes() const;
};

namespace handmade {

using Builder = flatbuffers::FlatBufferBuilder;
using Any = flatbuffers::Offset<void>;

inline flatbuffers::voffset_t field(int index) {
  return static_cast<flatbuffers::voffset_t>(4 + 2 * index);
}
inline Any table(Builder& builder, const std::function<void()>& fill) {
  const auto start = builder.StartTable();
  fill();
  return {builder.EndTable(start)};
}
template <typename T>
Any list(Builder& builder, const std::vector<T>& values) {
  return builder.CreateVector(values).Union();
}
template <typename T>
Any list(Builder& builder, const std::optional<std::vector<T>>& values) {
  return values ? list(builder, *values) : Any();
}
inline Any tables(Builder& builder, const std::vector<Any>& offsets) {
  return builder.CreateVector(offsets).Union();
}

inline Any tensor(Builder& builder, const HandmadeFile::Tensor& t) {
  const Any shape = list(builder, t.shape);
  const Any name = builder.CreateString(t.name).Union();
  const Any scales = list(builder, t.scales);
  const Any zero_points = list(builder, t.zero_points);
  const Any signature = t.signature.empty() ? Any() : list(builder, t.signature);
  const Any quantization = t.scales.empty() ? Any() : table(builder, [&] {
    builder.AddOffset(field(2), scales);
    builder.AddOffset(field(3), zero_points);
    builder.AddElement<int32_t>(field(6), t.axis, 0);
  });
  return table(builder, [&] {
    builder.AddOffset(field(0), shape);
    builder.AddElement<int8_t>(field(1), static_cast<int8_t>(t.type), 0);
    builder.AddElement<uint32_t>(field(2), t.buffer, 0);
    builder.AddOffset(field(3), name);
    builder.AddOffset(field(4), quantization);
    builder.AddElement<uint8_t>(field(5), t.variable ? 1 : 0, 0);
    builder.AddOffset(field(7), signature);
    builder.AddElement<uint32_t>(field(10), t.external_buffer, 0);
  });
}

inline Any op(Builder& builder, const HandmadeFile::Operator& o) {
  const Any inputs = list(builder, o.inputs);
  const Any outputs = list(builder, o.outputs);
  const Any options = o.options == 0 ? Any() : table(builder, [&] {
    for (size_t i = 0; i < o.bytes.size(); ++i)
      builder.AddElement<int8_t>(field(static_cast<int>(i)), o.bytes[i], 0);
    for (size_t i = 0; i < o.numbers.size(); ++i)
      builder.AddElement<int32_t>(field(o.first_number + static_cast<int>(i)), o.numbers[i], 0);
  });
  return table(builder, [&] {
    builder.AddElement<uint32_t>(field(0), o.code, 0);
    builder.AddOffset(field(1), inputs);
    builder.AddOffset(field(2), outputs);
    builder.AddElement<uint8_t>(field(3), static_cast<uint8_t>(o.options), 0);
    builder.AddOffset(field(4), options);
  });
}

}  // namespace handmade

inline std::vector<uint8_t> HandmadeFile::bytes() const {
  using namespace handmade;
  Builder builder;
  const auto each = [&](const auto& items, const auto& make) {
    std::vector<Any> offsets;
    for (const auto& item : items) offsets.push_back(make(item));
    return tables(builder, offsets);
  };
  const Any code_list = lists == Lists::NoCodes ? Any() : each(codes, [&](const Code& code) {
    const Any custom = code.custom.empty() ? Any() : builder.CreateString(code.custom).Union();
    return table(builder, [&] {
      builder.AddElement<int8_t>(field(0), static_cast<int8_t>(std::min(code.builtin, 127)), 0);
      builder.AddOffset(field(1), custom);
      builder.AddElement<int32_t>(field(3), code.builtin, 0);
    });
  });
  std::vector<Any> graphs;
  for (int i = 0; i < subgraphs; ++i) {
    const Any tensor_list = lists == Lists::NoTensors
                                ? Any()
                                : each(tensors, [&](const Tensor& t) { return tensor(builder, t); });
    const Any operator_list = lists == Lists::NoOperators
                                  ? Any()
                                  : each(operators, [&](const Operator& o) { return op(builder, o); });
    const Any input_list = list(builder, inputs);
    const Any output_list = list(builder, outputs);
    graphs.push_back(table(builder, [&] {
      builder.AddOffset(field(0), tensor_list);
      builder.AddOffset(field(1), input_list);
      builder.AddOffset(field(2), output_list);
      builder.AddOffset(field(3), operator_list);
    }));
  }
  const Any graph_list = lists == Lists::NoSubgraphs ? Any() : tables(builder, graphs);
  const Any buffer_list = lists == Lists::NoBuffers ? Any() : each(buffers, [&](const Buffer& buffer) {
    const Any data = buffer.data.empty() ? Any() : list(builder, buffer.data);
    return table(builder, [&] {
      builder.AddOffset(field(0), data);
      builder.AddElement<uint64_t>(field(1), buffer.offset, 0);
      builder.AddElement<uint64_t>(field(2), buffer.size, 0);
    });
  });
  const Any model = table(builder, [&] {
    builder.AddElement<uint32_t>(field(0), version, 0);
    builder.AddOffset(field(1), code_list);
    builder.AddOffset(field(2), graph_list);
    builder.AddOffset(field(4), buffer_list);
  });
  builder.Finish(flatbuffers::Offset<flatbuffers::Table>(model.o), "TFL3");
  return {builder.GetBufferPointer(), builder.GetBufferPointer() + builder.GetSize()};
}

// One RELU on [1, 4, 4, 2], which is sound and supported.
inline HandmadeFile small_handmade() {
  HandmadeFile file;
  file.codes = {{format::kRelu}};
  file.tensors = {{.shape = {{1, 4, 4, 2}}, .name = "in"}, {.shape = {{1, 4, 4, 2}}, .name = "out"}};
  file.operators = {{.inputs = {{0}}, .outputs = {{1}}}};
  return file;
}

// A fully connected layer from 2 to 3 values.
inline HandmadeFile dense_handmade() {
  HandmadeFile file;
  file.codes = {{format::kFullyConnected}};
  file.tensors = {{.shape = {{1, 2}}, .name = "in"},
                  {.shape = {{1, 3}}, .name = "out"},
                  {.shape = {{3, 2}}, .buffer = 1, .name = "kernel"}};
  file.operators = {
      {.inputs = {{0, 2}}, .outputs = {{1}}, .options = format::kFullyConnectedOptions, .bytes = {0, 0}}};
  file.buffers.push_back({{1, 2, 3, 4, 5, 6}});
  return file;
}

}  // namespace retort::int8
