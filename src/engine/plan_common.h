// Small things that the operations' sources share; private to the plan.
#pragma once

#include <algorithm>
#include <cstddef>
#include <string>
#include <string_view>

#include "engine/plan_memory.h"
#include "engine/plan_operations.h"

namespace retort::engine {

// Consecutive images that one thread works on.
struct ImageRange {
  int index = 0;  // of the range
  int first = 0;
  int count = 0;
};

// Splits a batch over threads, always in the same way.
class Workers {
 public:
  Workers(int threads, int images) : ranges_(std::max(1, std::min(threads, images))), images_(images) {}
  [[nodiscard]] int ranges() const { return ranges_; }

  // body(range), each on its own thread. The body must not throw.
  template <typename Body>
  void run(const Body& body) const {
    if (ranges_ == 1) {
      body(ImageRange{0, 0, images_});
      return;
    }
#pragma omp parallel for num_threads(ranges_) schedule(static, 1)
    for (int i = 0; i < ranges_; ++i) {
      const int first = images_ * i / ranges_;
      body(ImageRange{i, first, images_ * (i + 1) / ranges_ - first});
    }
  }

 private:
  int ranges_;
  int images_;
};

inline kernels::BlockedShape part(kernels::BlockedShape shape, const ImageRange& range) {
  shape.images = range.count;
  return shape;
}
// Where a range's numbers begin.
inline size_t begin_of(const kernels::BlockedShape& shape, const ImageRange& range) {
  return static_cast<size_t>(range.first) * shape.image_size();
}
inline size_t size_of(const kernels::BlockedShape& shape, const ImageRange& range) {
  return static_cast<size_t>(range.count) * shape.image_size();
}

inline size_t aligned_bytes(size_t bytes) {
  return round_up(bytes, kLineBytes);
}

inline OutputUse use_of(kernels::Activation mask) {
  if (mask == kernels::Activation::None) return OutputUse::None;
  return mask == kernels::Activation::Relu ? OutputUse::Sign : OutputUse::Values;
}

std::string_view suffix(kernels::Activation activation);  // "", " + relu", " + relu6"
// "3 conv 3×3 32×32×16 → 32×32×16 + relu"
std::string title(const OperationSite& site, std::string_view what);

// Applies the operation's own mask to the gradient that came in, where it lies.
void mask_output_gradient(const Workers& workers, const kernels::BlockedShape& shape,
                          kernels::Activation mask, const OperationMemory& memory);

// Of plan_layers.cpp.
std::unique_ptr<Operation> make_first_convolution(const OperationSite& site);
std::unique_ptr<Operation> make_depthwise(const OperationSite& site);
std::unique_ptr<Operation> make_convolution(const OperationSite& site);
std::unique_ptr<Operation> make_dense(const OperationSite& site);
// Of plan_batch_norm.cpp.
std::unique_ptr<Operation> make_batch_norm(const OperationSite& site);

}  // namespace retort::engine
