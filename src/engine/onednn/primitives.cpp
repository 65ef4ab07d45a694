#include "engine/onednn/primitives.h"

#include <omp.h>

#include <algorithm>
#include <cstdlib>

#include "base/error.h"
#include "base/parallel.h"

namespace retort::engine::onednn {
namespace {

// A function, so that the variable stays out of the headers' way of dynamic initialisation.
int& call_depth() {
  thread_local int depth = 0;
  return depth;
}

// dnnl_cpu_isa_t's values are bit sets in which a larger set of instructions has all the bits of a smaller one.
bool has(dnnl_cpu_isa_t set) {
  const auto bits = static_cast<unsigned>(set);
  return (static_cast<unsigned>(dnnl_get_effective_cpu_isa()) & bits) == bits;
}

}  // namespace

int calls_in_progress() {
  return call_depth();
}

const dnnl::engine& cpu_engine() {
  static const dnnl::engine engine = [] {
    // oneDNN keeps the code of the last 1,024 primitives, which a search of many structures fills with what never comes
    // again. The stages of one network share theirs, and as many networks train at once as there are cores.
    constexpr int kOfANetwork = 64;
    if (std::getenv("ONEDNN_PRIMITIVE_CACHE_CAPACITY") == nullptr)
      dnnl::set_primitive_cache_capacity(kOfANetwork * std::max(available_cores(), 4));
    return dnnl::engine(dnnl::engine::kind::cpu, 0);
  }();
  return engine;
}

const dnnl::stream& cpu_stream() {
  thread_local const dnnl::stream stream(cpu_engine());
  return stream;
}

int channel_block() {
  return has(dnnl_cpu_isa_avx512_core) ? 16 : 8;
}

bool has_intels_avx512() {
#if defined(__x86_64__)
  return has(dnnl_cpu_isa_avx512_core) && __builtin_cpu_is("intel");
#else
  return false;
#endif
}
bool multiplies_bfloat16() {
  return has(dnnl_cpu_isa_avx512_core_bf16) && !has_intels_avx512();
}

std::string instruction_set() {
  if (has_intels_avx512()) return "Intel's AVX-512";
  if (multiplies_bfloat16()) return "AVX-512 with bfloat16";
  if (has(dnnl_cpu_isa_avx512_core)) return "AVX-512";
  if (has(dnnl_cpu_isa_avx2)) return "AVX2";
  if (has(dnnl_cpu_isa_avx)) return "AVX";
  return "SSE4.1";
}

Call::Call(const dnnl::primitive& primitive, const std::vector<Argument>& arguments) : primitive_(primitive) {
  memories_.reserve(arguments.size());
  for (const Argument& argument : arguments) {
    if (argument.layout.get_size() == 0) continue;
    // oneDNN takes one pointer type for what it reads and what it writes.
    memories_.emplace_back(argument.layout, cpu_engine(), const_cast<void*>(argument.data));
    arguments_.push_back({argument.name, memories_.back().get()});
  }
}

void Call::operator()() const {
  ++call_depth();
  const dnnl_status_t status = dnnl_primitive_execute(primitive_.get(), cpu_stream().get(),
                                                      static_cast<int>(arguments_.size()), arguments_.data());
  --call_depth();
  if (status != dnnl_success)
    throw_failure("oneDNN could not run a layer (status {})", static_cast<int>(status));
}

dnnl::primitive_attr attributes(Activation activation) {
  dnnl::primitive_attr attributes;
  attributes.set_scratchpad_mode(dnnl::scratchpad_mode::user);
  if (activation != Activation::None) {
    dnnl::post_ops operations;
    if (activation == Activation::Relu)
      operations.append_eltwise(1.0F, dnnl::algorithm::eltwise_relu, 0.0F, 0.0F);
    else
      operations.append_eltwise(1.0F, dnnl::algorithm::eltwise_clip, 0.0F, 6.0F);
    attributes.set_post_ops(operations);
  }
  return attributes;
}

ThreadScope::ThreadScope(int threads) : previous_(omp_get_max_threads()) {
  if (threads != previous_) omp_set_num_threads(threads);
}
ThreadScope::~ThreadScope() {
  if (omp_get_max_threads() != previous_) omp_set_num_threads(previous_);
}

}  // namespace retort::engine::onednn
