// The only door to oneDNN: convolutions over channel-blocked float32 activations, computed in float32 or, where
// the processor can and it pays, on numbers rounded to bfloat16.
//
// Activations are N × C/b × H × W × b with b = 8 or 16 and C padded to a multiple of b; a convolution's weights are O/b × I/b × H × W × b in × b out. Objects are built once and bound to memory
// once; run functions then only execute. Written for oneDNN 2.6; what 3.x calls differently is confined to
// this folder's sources.
#pragma once

#include <cstddef>
#include <cstdint>
#include <memory>
#include <string>
#include <vector>

#include "engine/network.h"

namespace retort::engine::onednn {

// Floats of a vector register under the instruction set that oneDNN will use (ONEDNN_MAX_CPU_ISA is
// respected): the longest block of channels.
int channel_block();
// "AVX2", "AVX-512", "AVX-512 with bfloat16", "Intel's AVX-512": what shapes the numbers that training gives.
std::string instruction_set();
// Whether the processor is Intel's and has AVX-512: its servers multiply float32 in two units of 512 bits.
bool has_intels_avx512();
// Whether bfloat16 is multiplied quicker than float32: by AVX512_BF16 but on Intel's, which does half as much so as its two
// units in float32 (a Xeon with AMX: 228 and 432 GFLOP/s on two cores). AMX would be quicker, but oneDNN's convolutions for it
// take no blocks of channels.
bool multiplies_bfloat16();

enum class Activation { None, Relu, Relu6 };
enum class Bias { Absent, Present };
// Which passes a plan needs. Weights: forward and gradients of weights (a first layer). All: the input's too.
enum class Passes { Forward, Weights, All };

struct ConvolutionShape {
  int batch = 0;
  int in_channels = 0;   // padded
  int out_channels = 0;  // padded
  int in_height = 0;
  int in_width = 0;
  int out_height = 0;
  int out_width = 0;
  int kernel_height = 0;
  int kernel_width = 0;
  int stride_height = 1;
  int stride_width = 1;
  int pad_top = 0;
  int pad_left = 0;
  Bias bias = Bias::Present;
  Activation activation = Activation::None;  // applied in the forward pass; its gradient is the caller's
  Precision precision = Precision::Float32;
  int block = 8;  // of channels: at most channel_block()
};

// Where its numbers lie; nulls for what its passes don't touch. All 64-byte aligned.
struct ConvolutionBuffers {
  const float* input = nullptr;
  const float* weights = nullptr;  // as used: the fake-quantised copy in quantisation-aware training
  const float* bias = nullptr;
  float* output = nullptr;
  const float* output_gradient = nullptr;
  float* input_gradient = nullptr;
  float* weight_gradient = nullptr;
  float* bias_gradient = nullptr;
  std::byte* kept = nullptr;       // kept_bytes(), from forward to backward
  std::byte* workspace = nullptr;  // workspace_bytes(), free between forward and backward
};

class Convolution {
 public:
  virtual ~Convolution() = default;
  [[nodiscard]] virtual size_t workspace_bytes() const = 0;
  // Of the rounded input that backward_weights() reads in place of the input itself; 0 when it reads that.
  [[nodiscard]] virtual size_t kept_bytes() const = 0;
  virtual void bind(const ConvolutionBuffers& buffers) = 0;
  virtual void forward() = 0;
  virtual void backward_weights() = 0;  // overwrites weight and bias gradients
  virtual void backward_input() = 0;    // overwrites the input's gradient; directly after backward_weights()
  // "forward jit:avx2", …: one entry a pass, with oneDNN's name of the implementation.
  [[nodiscard]] virtual std::vector<std::string> implementations() const = 0;
};

// Throws Error(Failure) when oneDNN refuses.
std::unique_ptr<Convolution> make_convolution(const ConvolutionShape& shape, Passes passes);

// Runs oneDNN's calls made by this thread on `threads` threads until destroyed.
class ThreadScope {
 public:
  explicit ThreadScope(int threads);
  ~ThreadScope();
  ThreadScope(const ThreadScope&) = delete;
  ThreadScope& operator=(const ThreadScope&) = delete;

 private:
  int previous_;
};

// How many oneDNN calls this thread is inside of (0 or 1): oneDNN 2.x allocates argument tables in every
// call, which the test that counts our own allocations must tell apart.
int calls_in_progress();

}  // namespace retort::engine::onednn
