#include "int8/check_tensor.h"

#include <cmath>
#include <cstdint>

namespace retort::int8 {

namespace {

constexpr int kMaximumRank = 6;
constexpr int64_t kMaximumElements = int64_t{1} << 28;

}  // namespace

std::string shape_text(const std::vector<int>& dims) {
  return fmt::format("[{}]", fmt::join(dims, ", "));
}

void check_tensor(const QuantGraph& graph, int index) {
  const Tensor& tensor = graph.tensors[static_cast<size_t>(index)];
  if (tensor.dims.size() > kMaximumRank)
    tensor_error(graph, index, "has {} dimensions; at most {} are supported", tensor.dims.size(),
                 kMaximumRank);
  int64_t elements = 1;
  for (const int size : tensor.dims) {
    if (size < 1 || size > kMaximumDimension)
      tensor_error(
          graph, index,
          "has shape {}; every dimension must be between 1 and {} (dynamic shapes are not supported)",
          shape_text(tensor.dims), kMaximumDimension);
    elements *= size;
    if (elements > kMaximumElements)
      tensor_error(graph, index, "has shape {}; at most {} elements are supported", shape_text(tensor.dims),
                   kMaximumElements);
  }
  if (tensor.constant() && static_cast<int64_t>(tensor.data.size()) != tensor.bytes())
    tensor_error(graph, index, "holds {} bytes, but its shape {} needs {}", tensor.data.size(),
                 shape_text(tensor.dims), tensor.bytes());
  const Quantization& q = tensor.quantization;
  if (q.scales.size() != q.zero_points.size())
    tensor_error(graph, index, "has {} scales but {} zero points", q.scales.size(), q.zero_points.size());
  for (const float scale : q.scales)
    if (!std::isfinite(scale) || scale <= 0)
      tensor_error(graph, index, "has a scale of {}; scales must be positive", scale);
  // TFLM looks at the dimension of kernels alone, and TensorFlow 1 wrote the kernel's at the bias too.
  if (q.scales.size() > 1 && tensor.type != Type::Int32) {
    if (q.axis < 0 || static_cast<size_t>(q.axis) >= tensor.dims.size() ||
        static_cast<size_t>(tensor.dims[static_cast<size_t>(q.axis)]) != q.scales.size())
      tensor_error(graph, index, "has {} scales along dimension {}, which its shape {} does not have",
                   q.scales.size(), q.axis, shape_text(tensor.dims));
  }
}

void check_grid(const QuantGraph& graph, int index) {
  const Quantization& q = graph.tensors[static_cast<size_t>(index)].quantization;
  if (q.scales.size() != 1)
    tensor_error(graph, index, "has {} scales; an int8 activation needs exactly one", q.scales.size());
  if (q.zero_points[0] < -128 || q.zero_points[0] > 127)
    tensor_error(graph, index, "has a zero point of {}; int8 holds −128 to 127", q.zero_points[0]);
}

}  // namespace retort::int8
