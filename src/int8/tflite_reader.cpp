#include <flatbuffers/flatbuffers.h>

#include <algorithm>
#include <cstring>

#include "base/error.h"
#include "base/json.h"
#include "int8/check.h"
#include "int8/tflite.h"
#include "tflite_generated.h"

namespace retort::int8 {

namespace {

constexpr size_t kAlignment = 16;

// How often a file's bytes may be copied: sound files name a buffer of constants twice at most now and then.
constexpr size_t kMostCopies = 4;

// What a reader of a network's problems can do about an operator that we lack.
std::string remedy_for(tflite::BuiltinOperator code) {
  using Code = tflite::BuiltinOperator;
  switch (code) {
    case Code::LOGISTIC:
    case Code::TANH:
    case Code::ELU:
    case Code::GELU:
    case Code::PRELU:
    case Code::LEAKY_RELU:
    case Code::HARD_SWISH:
    case Code::RELU_N1_TO_1:
    case Code::RELU_0_TO_1:
      return "train with RELU or RELU6 in its place";
    case Code::PAD:
    case Code::PADV2:
    case Code::MIRROR_PAD:
      return "let the convolution after it pad (padding SAME)";
    case Code::SQUEEZE:
    case Code::EXPAND_DIMS:
      return "use RESHAPE in its place";
    case Code::SHAPE:
    case Code::STRIDED_SLICE:
    case Code::PACK:
      return "if it computes a shape, convert the network again with a fixed batch of 1";
    case Code::DELEGATE:
      return "give the file from before it was compiled for an accelerator";
    default:
      return fmt::format("supported are {}", fmt::join(operator_names(), ", "));
  }
}

std::string remedy_for(tflite::TensorType type) {
  using Type = tflite::TensorType;
  switch (type) {
    case Type::FLOAT16:
    case Type::BFLOAT16:
    case Type::FLOAT64:
      return "quantise the network to int8, activations as well as weights";
    case Type::UINT8:
      return "convert the network again with int8 (uint8 is TensorFlow 1's scheme)";
    case Type::INT16:
      return "quantise activations to int8 too (not 16 bits with 8-bit weights)";
    case Type::INT4:
    case Type::INT2:
    case Type::UINT4:
      return "quantise weights to 8 bits";
    default:
      return "";
  }
}

std::string lower_case(std::string text) {
  for (char& letter : text)
    if (letter >= 'A' && letter <= 'Z') letter = static_cast<char>(letter - 'A' + 'a');
  return text;
}

std::string type_text(tflite::TensorType type) {
  const std::string name = lower_case(tflite::EnumNameTensorType(type));
  return name.empty() ? fmt::format("type number {}", static_cast<int>(type)) : name;
}

// Two steps in one pass: what the file says, and what of it a QuantGraph can hold. A tensor or an operator
// beyond that gets a problem, and a placeholder in the graph so that indices stay as they are.
class Reader {
 public:
  Reader(const tflite::Model& model, size_t file_bytes, std::string_view name)
      : model_(model), file_bytes_(file_bytes), name_(name) {}

  TfliteContents read() {
    if (model_.version() != 3)
      throw_usage("{}: a TensorFlow Lite file of schema version {}; version 3 is expected", name_,
                  model_.version());
    const auto* subgraphs = model_.subgraphs();
    if (subgraphs == nullptr || subgraphs->size() == 0 || subgraphs->Get(0)->tensors() == nullptr ||
        subgraphs->Get(0)->operators() == nullptr)
      throw_usage("{}: the file holds no network", name_);
    if (subgraphs->size() > 1)
      contents_.problems.push_back(
          {.why = fmt::format("the file holds {} subgraphs; exactly one is supported", subgraphs->size()),
           .remedy = "convert a network without control flow and with one signature"});
    const tflite::SubGraph& subgraph = *subgraphs->Get(0);
    for (const tflite::Tensor* tensor : *subgraph.tensors()) read_tensor(*tensor);
    for (const tflite::Operator* op : *subgraph.operators()) read_operator(*op);
    graph_.inputs = copy(subgraph.inputs());
    graph_.outputs = copy(subgraph.outputs());
    graph_.description = copy(model_.description());
    read_classes();
    contents_.inputs = graph_.inputs;
    contents_.outputs = graph_.outputs;
    for (Problem& problem : find_problems(graph_, name_, unreadable_))
      contents_.problems.push_back(std::move(problem));
    if (contents_.problems.empty()) contents_.graph = std::move(graph_);
    return std::move(contents_);
  }

 private:
  template <typename... Args>
  [[noreturn]] void tensor_error(std::string remedy, fmt::format_string<Args...> format,
                                 Args&&... args) const {
    const size_t index = graph_.tensors.size();
    throw Problem{Problem::Place::Tensor, static_cast<int>(index),
                  tensor_subject(index, contents_.tensors.back().name),
                  fmt::format(format, std::forward<Args>(args)...), std::move(remedy)};
  }
  template <typename... Args>
  [[noreturn]] void operator_error(std::string remedy, fmt::format_string<Args...> format,
                                   Args&&... args) const {
    const size_t index = graph_.operators.size();
    throw Problem{Problem::Place::Operator, static_cast<int>(index),
                  operator_subject(index, contents_.operators.back().name),
                  fmt::format(format, std::forward<Args>(args)...), std::move(remedy)};
  }
  // Whether it ran to its end.
  template <typename Step>
  bool collect(const Step& step) {
    try {
      step();
      return true;
    } catch (Problem& problem) {
      contents_.problems.push_back(std::move(problem));
      return false;
    }
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

  [[nodiscard]] const tflite::Buffer& buffer(uint32_t index) const {
    if (model_.buffers() == nullptr || index >= model_.buffers()->size())
      throw_usage("{}: buffer {} is missing", name_, index);
    return *model_.buffers()->Get(index);
  }

  void read_tensor(const tflite::Tensor& source) {
    Tensor tensor;
    tensor.name = copy(source.name());
    tensor.dims = copy(source.shape());
    tensor.data = copy(buffer(source.buffer()).data());
    contents_.tensors.push_back({tensor.name, type_text(source.type()), tensor.dims, tensor.data.size()});
    unreadable_.tensors.push_back(!collect([&] { convert(source, tensor); }));
    graph_.tensors.push_back(std::move(tensor));
  }

  void convert(const tflite::Tensor& source, Tensor& tensor) {
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
        tensor_error(remedy_for(source.type()), "is {}; int8, int32 and float32 are supported",
                     type_text(source.type()));
    }
    if (source.is_variable()) tensor_error("", "is a variable; networks with state are not supported");
    if (source.sparsity() != nullptr)
      tensor_error("convert without sparse storage", "is stored sparse, which is not supported");
    // Offsets 0 and 1 mean that there is none.
    if (source.external_buffer() != 0 || buffer(source.buffer()).offset() > 1)
      tensor_error("", "has its data outside the file's FlatBuffer, which is not supported");
    // A batch that may vary (−1 in front) is common and harmless: the shape says 1.
    if (const auto* signature = source.shape_signature(); signature != nullptr)
      for (uint32_t i = 1; i < signature->size(); ++i)
        if (signature->Get(i) < 0)
          tensor_error("convert the network again with a fixed input shape",
                       "has a dynamic dimension {}, which is not supported", i);
    if (const tflite::QuantizationParameters* q = source.quantization(); q != nullptr) {
      if (q->details_type() != 0) tensor_error("", "has quantisation details that are not supported");
      tensor.quantization.scales = copy(q->scale());
      tensor.quantization.zero_points = copy(q->zero_point());
      tensor.quantization.axis = q->quantized_dimension();
      if (tensor.quantization.zero_points.empty())
        tensor.quantization.zero_points.assign(tensor.quantization.scales.size(), 0);
    }
  }

  // The newer field, or the older one in files from before there were more than 127 operators.
  [[nodiscard]] const tflite::OperatorCode& code_of(const tflite::Operator& op) const {
    if (model_.operator_codes() == nullptr || op.opcode_index() >= model_.operator_codes()->size())
      throw_usage("{}: operator {} has operator code {}, which the file does not list", name_,
                  graph_.operators.size(), op.opcode_index());
    return *model_.operator_codes()->Get(op.opcode_index());
  }
  static tflite::BuiltinOperator builtin_of(const tflite::OperatorCode& code) {
    return static_cast<tflite::BuiltinOperator>(
        std::max(static_cast<int>(code.deprecated_builtin_code()), static_cast<int>(code.builtin_code())));
  }
  [[nodiscard]] std::string name_of(const tflite::OperatorCode& code) {
    const tflite::BuiltinOperator builtin = builtin_of(code);
    if (builtin == tflite::BuiltinOperator::CUSTOM && code.custom_code() != nullptr)
      return copy(code.custom_code());
    const std::string name = tflite::EnumNameBuiltinOperator(builtin);
    return name.empty() ? fmt::format("operator code {}", static_cast<int>(builtin)) : name;
  }

  // The options of an operator; when the file leaves them out, there is nothing to go by.
  template <typename Options>
  const Options& need(const Options* options) const {
    if (options == nullptr) operator_error("", "it has no options");
    return *options;
  }

  [[nodiscard]] Activation activation(tflite::ActivationFunctionType type) const {
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
    const std::string name = tflite::EnumNameActivationFunctionType(type);
    operator_error("train with RELU or RELU6 in its place",
                   "it has the fused activation {}; RELU and RELU6 are supported",
                   name.empty() ? fmt::format("number {}", static_cast<int>(type)) : name);
  }

  template <typename Window, typename Options>
  [[nodiscard]] Window window(const Options& options) const {
    Window window;
    window.stride_height = options.stride_h();
    window.stride_width = options.stride_w();
    if (options.padding() != tflite::Padding::SAME && options.padding() != tflite::Padding::VALID)
      operator_error("", "it has padding number {}; SAME and VALID are supported",
                     static_cast<int>(options.padding()));
    window.padding =
        options.padding() == tflite::Padding::SAME ? graph::Padding::Same : graph::Padding::Valid;
    window.activation = activation(options.fused_activation_function());
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
    const Code code = builtin_of(code_of(op));
    switch (code) {
      case Code::CONV_2D:
        return window<Conv2D>(need(op.builtin_options_as_Conv2DOptions()));
      case Code::DEPTHWISE_CONV_2D:
        return depthwise(op);
      case Code::MAX_POOL_2D:
        return window<MaxPool2D>(need(op.builtin_options_as_Pool2DOptions()));
      case Code::AVERAGE_POOL_2D:
        return window<AveragePool2D>(need(op.builtin_options_as_Pool2DOptions()));
      case Code::FULLY_CONNECTED: {
        const auto& options = need(op.builtin_options_as_FullyConnectedOptions());
        if (options.weights_format() != tflite::FullyConnectedOptionsWeightsFormat::DEFAULT)
          operator_error("", "it has shuffled weights, which are not supported");
        return FullyConnected{activation(options.fused_activation_function())};
      }
      case Code::ADD:
        return AddOp{activation(need(op.builtin_options_as_AddOptions()).fused_activation_function())};
      case Code::MEAN:
        return Mean{need(op.builtin_options_as_ReducerOptions()).keep_dims()};
      case Code::SOFTMAX:
        return SoftmaxOp{need(op.builtin_options_as_SoftmaxOptions()).beta()};
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
      case Code::CUSTOM:
        operator_error("", "it is a custom operator, which is not supported");
      default:
        operator_error(remedy_for(code), "the operator is not supported");
    }
  }

  [[nodiscard]] DepthwiseConv2D depthwise(const tflite::Operator& op) const {
    auto made = window<DepthwiseConv2D>(need(op.builtin_options_as_DepthwiseConv2DOptions()));
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
    Operator made{Reshape{}, copy(op.inputs()), copy(op.outputs())};
    contents_.operators.push_back({name_of(code_of(op)), made.inputs, made.outputs});
    unreadable_.operators.push_back(!collect([&] { made.kind = kind_of(op); }));
    graph_.operators.push_back(std::move(made));
  }

  void read_classes() {
    if (model_.metadata() == nullptr) return;
    for (const tflite::Metadata* entry : *model_.metadata()) {
      if (entry->name() == nullptr || entry->name()->string_view() != "retort.classes") continue;
      const std::vector<uint8_t> text = copy(buffer(entry->buffer()).data());
      try {
        graph_.classes = Json::parse(text.begin(), text.end()).get<std::vector<std::string>>();
      } catch (const Json::exception&) {
        throw_usage("{}: the metadata 'retort.classes' is not a JSON array of strings", name_);
      }
    }
  }

  const tflite::Model& model_;
  size_t file_bytes_;
  std::string_view name_;
  size_t copied_bytes_ = 0;
  TfliteContents contents_;
  QuantGraph graph_;
  Unreadable unreadable_;
};

}  // namespace

TfliteContents open_tflite(std::span<const uint8_t> bytes, std::string_view name) {
  // FlatBuffers reads numbers in place, at offsets that are aligned from the buffer's start.
  std::vector<uint8_t> aligned;
  if (reinterpret_cast<uintptr_t>(bytes.data()) % kAlignment != 0) {
    aligned.assign(bytes.begin(), bytes.end());
    bytes = aligned;
  }
  constexpr size_t kSmallestFile = 8;
  if (bytes.size() < kSmallestFile || !tflite::ModelBufferHasIdentifier(bytes.data()))
    throw_usage("{}: not a TensorFlow Lite file (its identifier TFL3 is missing)", name);
  if (bytes.size() > kMostTfliteBytes)
    throw_usage("{}: has {} bytes; a TensorFlow Lite file of at most {} can be read", name, bytes.size(),
                kMostTfliteBytes);
  flatbuffers::Verifier verifier(bytes.data(), bytes.size());
  if (!tflite::VerifyModelBuffer(verifier))
    throw_usage("{}: a damaged TensorFlow Lite file: its offsets point outside the file or are inconsistent",
                name);
  return Reader(*tflite::GetModel(bytes.data()), bytes.size(), name).read();
}

QuantGraph read_tflite(std::span<const uint8_t> bytes, std::string_view name) {
  TfliteContents contents = open_tflite(bytes, name);
  if (!contents.graph) throw_first(contents.problems, name);
  return *std::move(contents.graph);
}

}  // namespace retort::int8
