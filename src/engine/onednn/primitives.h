// What differs between oneDNN's versions and what its layers share: engine, primitives with their arguments
// fixed. Included only within this folder.
#pragma once

#include <dnnl.hpp>

#include <array>
#include <string>
#include <vector>

#include "engine/onednn/onednn.h"

namespace retort::engine::onednn {

const dnnl::engine& cpu_engine();
const dnnl::stream& cpu_stream();  // one a thread

struct Argument {
  int name = 0;  // DNNL_ARG_…
  dnnl::memory::desc layout;
  const void* data = nullptr;
};

// A primitive with its arguments. dnnl::primitive::execute would build a vector at each call; this builds it
// once.
class Call {
 public:
  Call() = default;
  Call(const dnnl::primitive& primitive, const std::vector<Argument>& arguments);
  void operator()() const;

 private:
  dnnl::primitive primitive_;
  std::vector<dnnl::memory> memories_;
  std::vector<dnnl_exec_arg_t> arguments_;
};

dnnl::primitive_attr attributes(Activation activation = Activation::None);

}  // namespace retort::engine::onednn
