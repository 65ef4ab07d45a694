#include <flatbuffers/flatbuffers.h>

#include <algorithm>
#include <cstring>
#include <nlohmann/json.hpp>

#include "base/error.h"
#include "int8/check.h"
#include "int8/tflite.h"
#include "tflite_generated.h"

namespace retort::int8 {

namespace {

constexpr size_t kAlignment = 16;

// How often a file's bytes may be copied: sound files name a buffer of constants twice at most now and then.
constexpr size_t kMostCopies = 4;

class Reader {
 public:
  Reader(const tflite::Model& model, size_t file_bytes, std::string_view name)
      : model_(model), file_bytes_(file_bytes), name_(name) {}

  QuantGraph read() {
    if (model_.version() != 3)
      throw_usage("{}: a TensorFlow Lite file of schema version {}; version 3 is expected", name_,
                  model_.version());
    if (model_.subgraphs() == nullptr || model_.subgraphs()->size() != 1)
      throw_usage("{}: the file holds {} subgraphs; exactly one is supported", name_,
                  model_.subgraphs() == nullptr ? 0 : model_.subgraphs()->size());
    const tflite::SubGraph& subgraph = *model_.subgraphs()->Get(0);
    if (subgraph.tensors() == nullptr || subgraph.operators() == nullptr)
      throw_usage("{}: the file holds no network", name_);
    for (const tflite::Tensor* tensor : *subgraph.tensors()) read_tensor(*tensor);
    for (const tflite::Operator* op : *subgraph.operators()) read_operator(*op);
    graph_.inputs = copy(subgraph.inputs());
    graph_.outputs = copy(subgraph.outputs());
    graph_.description = copy(model_.description());
    read_classes();
    check(graph_, name_);
    return std::move(graph_);
  }

 private:
  template <typename... Args>
  [[noreturn]] void tensor_error(const tflite::Tensor& tensor, fmt::format_string<Args...> format,
                                 Args&&... args) const {
    throw_usage("{}: tensor {} ('{}') {}", name_, graph_.tensors.size(),
                tensor.name() == nullptr ? "" : tensor.name()->str(),
                fmt::format(format, std::forward<Args>(args)...));
  }
  template <typename... Args>
  [[noreturn]] void operator_error(fmt::format_string<Args...> format, Args&&... args) const {
    throw_usage("{}: operator {} {}", name_, graph_.operators.size(),
                fmt::format(format, std::forward<Args>(args)...));
  }

  // The format lets any number of tensors name the same buffer, list or text, so that a small file could ask
  // for any amount of memory.
  void charge(size_t bytes) {
    copied_bytes_ += bytes;
    if (copied_bytes_ > kMostCopies * file_bytes_)
      throw_usage(
          "{}: its tensors name the same data again and again, more than {} times the file's {} bytes", name_,
          kMostCopies, file_bytes_);
  }
  template <typename T>
  [[nodiscard]] std::vector<T> copy(const flatbuffers::Vector<T>* values) {
    if (values == nullptr) return {};
    charge(values->size() * sizeof(T));
    // By bytes: the verifier lets a vector of eight-byte numbers begin at any multiple of four.
    std::vector<T> copied(values->size());
    if (!copied.empty()) std::memcpy(copied.data(), values->Data(), copied.size() * sizeof(T));
    return copied;
  }
  [[nodiscard]] std::string copy(const flatbuffers::String* text) {
    if (text == nullptr) return {};
    charge(text->size());
    return text->str();
  }

  [[nodiscard]] std::vector<uint8_t> buffer(uint32_t index) {
    if (model_.buffers() == nullptr || index >= model_.buffers()->size())
      throw_usage("{}: buffer {} is missing", name_, index);
    return copy(model_.buffers()->Get(index)->data());
  }

  void read_tensor(const tflite::Tensor& source) {
    Tensor tensor;
    tensor.name = copy(source.name());
    switch (source.type()) {
      case tflite::TensorType::INT8:
        tensor.type = Type::Int8;
        break;
      case tflite::TensorType::INT32:
        tensor.type = Type::Int32;
        break;
      case tflite::TensorType::FLOAT32:
        tensor.type = Type::Float32;
        break;
      default:
        tensor_error(source, "has type number {}; int8, int32 and float32 are supported",
                     static_cast<int>(source.type()));
    }
    if (source.is_variable()) tensor_error(source, "is a variable; networks with state are not supported");
    if (source.sparsity() != nullptr) tensor_error(source, "is stored sparse, which is not supported");
    tensor.dims = copy(source.shape());
    // A batch that may vary (−1 in front) is common and harmless: the shape says 1.
    if (const auto* signature = source.shape_signature(); signature != nullptr)
      for (uint32_t i = 1; i < signature->size(); ++i)
        if (signature->Get(i) < 0)
          tensor_error(source, "has a dynamic dimension {}, which is not supported", i);
    if (const tflite::QuantizationParameters* q = source.quantization(); q != nullptr) {
      if (q->details_type() != 0) tensor_error(source, "has quantisation details that are not supported");
      tensor.quantization.scales = copy(q->scale());
      tensor.quantization.zero_points = copy(q->zero_point());
      tensor.quantization.axis = q->quantized_dimension();
      if (tensor.quantization.zero_points.empty())
        tensor.quantization.zero_points.assign(tensor.quantization.scales.size(), 0);
    }
    tensor.data = buffer(source.buffer());
    graph_.tensors.push_back(std::move(tensor));
  }

  [[nodiscard]] tflite::BuiltinOperator code_of(const tflite::Operator& op) const {
    if (model_.operator_codes() == nullptr || op.opcode_index() >= model_.operator_codes()->size())
      operator_error("has operator code {}, which the file does not list", op.opcode_index());
    const tflite::OperatorCode& code = *model_.operator_codes()->Get(op.opcode_index());
    const auto builtin =
        std::max(static_cast<int>(code.deprecated_builtin_code()), static_cast<int>(code.builtin_code()));
    if (code.custom_code() != nullptr && builtin == static_cast<int>(tflite::BuiltinOperator::CUSTOM))
      operator_error("is the custom operator '{}', which is not supported", code.custom_code()->str());
    return static_cast<tflite::BuiltinOperator>(builtin);
  }

  // The options of an operator; when the file leaves them out, there is nothing to go by.
  template <typename Options>
  const Options& need(const Options* options, std::string_view kind) const {
    if (options == nullptr) operator_error("({}) has no options", kind);
    return *options;
  }

  [[nodiscard]] Activation activation(tflite::ActivationFunctionType type, std::string_view kind) const {
    switch (type) {
      case tflite::ActivationFunctionType::NONE:
        return Activation::None;
      case tflite::ActivationFunctionType::RELU:
        return Activation::Relu;
      case tflite::ActivationFunctionType::RELU6:
        return Activation::Relu6;
      default:
        break;
    }
    operator_error("({}) has fused activation number {}; RELU and RELU6 are supported", kind,
                   static_cast<int>(type));
  }

  template <typename Window, typename Options>
  [[nodiscard]] Window window(const Options& options, std::string_view kind) const {
    Window window;
    window.stride_height = options.stride_h();
    window.stride_width = options.stride_w();
    if (options.padding() != tflite::Padding::SAME && options.padding() != tflite::Padding::VALID)
      operator_error("({}) has padding number {}; SAME and VALID are supported", kind,
                     static_cast<int>(options.padding()));
    window.padding =
        options.padding() == tflite::Padding::SAME ? graph::Padding::Same : graph::Padding::Valid;
    window.activation = activation(options.fused_activation_function(), kind);
    if constexpr (requires { options.dilation_h_factor(); }) {
      window.dilation_height = options.dilation_h_factor();
      window.dilation_width = options.dilation_w_factor();
    }
    if constexpr (requires { options.filter_height(); }) {
      window.filter_height = options.filter_height();
      window.filter_width = options.filter_width();
    }
    if constexpr (requires { options.depth_multiplier(); })
      window.depth_multiplier = options.depth_multiplier();
    return window;
  }

  [[nodiscard]] OperatorKind kind_of(const tflite::Operator& op) const {
    using Code = tflite::BuiltinOperator;
    const Code code = code_of(op);
    switch (code) {
      case Code::CONV_2D:
        return window<Conv2D>(need(op.builtin_options_as_Conv2DOptions(), "CONV_2D"), "CONV_2D");
      case Code::DEPTHWISE_CONV_2D:
        return depthwise(op);
      case Code::MAX_POOL_2D:
        return window<MaxPool2D>(need(op.builtin_options_as_Pool2DOptions(), "MAX_POOL_2D"), "MAX_POOL_2D");
      case Code::AVERAGE_POOL_2D:
        return window<AveragePool2D>(need(op.builtin_options_as_Pool2DOptions(), "AVERAGE_POOL_2D"),
                                     "AVERAGE_POOL_2D");
      case Code::FULLY_CONNECTED: {
        const auto& options = need(op.builtin_options_as_FullyConnectedOptions(), "FULLY_CONNECTED");
        if (options.weights_format() != tflite::FullyConnectedOptionsWeightsFormat::DEFAULT)
          operator_error("(FULLY_CONNECTED) has shuffled weights, which are not supported");
        return FullyConnected{activation(options.fused_activation_function(), "FULLY_CONNECTED")};
      }
      case Code::ADD:
        return AddOp{
            activation(need(op.builtin_options_as_AddOptions(), "ADD").fused_activation_function(), "ADD")};
      case Code::MEAN:
        return Mean{need(op.builtin_options_as_ReducerOptions(), "MEAN").keep_dims()};
      case Code::SOFTMAX:
        return SoftmaxOp{need(op.builtin_options_as_SoftmaxOptions(), "SOFTMAX").beta()};
      case Code::RESHAPE:
        return Reshape{};
      case Code::RELU:
        return ReluOp{};
      case Code::RELU6:
        return Relu6Op{};
      case Code::QUANTIZE:
        return Quantize{};
      case Code::DEQUANTIZE:
        return Dequantize{};
      default:
        break;
    }
    operator_error(
        "has operator code {}, which is not supported; CONV_2D, DEPTHWISE_CONV_2D, FULLY_CONNECTED, "
        "MAX_POOL_2D, "
        "AVERAGE_POOL_2D, ADD, MEAN, RESHAPE, SOFTMAX, RELU, RELU6, QUANTIZE and DEQUANTIZE are",
        static_cast<int>(code));
  }

  [[nodiscard]] DepthwiseConv2D depthwise(const tflite::Operator& op) const {
    auto made = window<DepthwiseConv2D>(
        need(op.builtin_options_as_DepthwiseConv2DOptions(), "DEPTHWISE_CONV_2D"), "DEPTHWISE_CONV_2D");
    if (made.depth_multiplier != 0) return made;
    // Some writers leave it 0: the shapes say what it is.
    const auto* inputs = op.inputs();
    const auto channels = [&](uint32_t i) -> int {
      if (inputs == nullptr || i >= inputs->size()) return 0;
      const auto index = static_cast<size_t>(inputs->Get(i));  // −1 becomes too large
      if (index >= graph_.tensors.size()) return 0;
      const std::vector<int>& dims = graph_.tensors[index].dims;
      return dims.empty() ? 0 : dims.back();
    };
    if (channels(0) > 0) made.depth_multiplier = channels(1) / channels(0);
    return made;
  }

  void read_operator(const tflite::Operator& op) {
    Operator made{kind_of(op), copy(op.inputs()), copy(op.outputs())};
    graph_.operators.push_back(std::move(made));
  }

  void read_classes() {
    if (model_.metadata() == nullptr) return;
    for (const tflite::Metadata* entry : *model_.metadata()) {
      if (entry->name() == nullptr || entry->name()->string_view() != "retort.classes") continue;
      const std::vector<uint8_t> text = buffer(entry->buffer());
      try {
        graph_.classes = nlohmann::json::parse(text.begin(), text.end()).get<std::vector<std::string>>();
      } catch (const nlohmann::json::exception&) {
        throw_usage("{}: the metadata 'retort.classes' is not a JSON array of strings", name_);
      }
    }
  }

  const tflite::Model& model_;
  size_t file_bytes_;
  std::string_view name_;
  size_t copied_bytes_ = 0;
  QuantGraph graph_;
};

}  // namespace

QuantGraph read_tflite(std::span<const uint8_t> bytes, std::string_view name) {
  // FlatBuffers reads numbers in place, at offsets that are aligned from the buffer's start.
  std::vector<uint8_t> aligned;
  if (reinterpret_cast<uintptr_t>(bytes.data()) % kAlignment != 0) {
    aligned.assign(bytes.begin(), bytes.end());
    bytes = aligned;
  }
  constexpr size_t kSmallestFile = 8;
  if (bytes.size() < kSmallestFile || !tflite::ModelBufferHasIdentifier(bytes.data()))
    throw_usage("{}: not a TensorFlow Lite file (its identifier TFL3 is missing)", name);
  flatbuffers::Verifier verifier(bytes.data(), bytes.size());
  if (!tflite::VerifyModelBuffer(verifier))
    throw_usage("{}: a damaged TensorFlow Lite file: its offsets point outside the file or are inconsistent",
                name);
  return Reader(*tflite::GetModel(bytes.data()), bytes.size(), name).read();
}

}  // namespace retort::int8
