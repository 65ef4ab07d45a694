// The engine's own kernels: everything that oneDNN does slowly or can't fuse.
//
// Every function works on one thread over the range it is given, allocates nothing and takes no lock; a
// caller splits the batch by images over threads by passing a shape with fewer images and pointers to their
// first element. Where a reduction over the batch is needed, each range gives partial sums that a *_finish
// function adds in the order of the ranges, so that the result depends on the split alone. The instruction
// set is chosen at run time (Highway); results may differ in the last bits between instruction sets, never
// between runs.
//
// Layouts, all float32 and 64-byte aligned:
//   blocked  nChw{B}c: [image][channel block][height][width][B] with B = 8 or 16. Lanes of channels that
//            don't exist hold 0 and every kernel keeps them so (given that the parameters' extra lanes are 0).
//   flat     [image][channels padded to B]: a blocked tensor with height = width = 1.
//   planar   [image][channel][padded height][padded width]: the network's input with its zero border
//            materialised, so that the first convolution needs no edge cases.
//   per-channel vectors have channel_blocks · B entries.
// An inner room: pointers are raw and unchecked, sizes are documented at each function; in and out may be the
// same buffer where that is said. Pointers marked «or null» are optional.
#pragma once

#include <cstddef>
#include <cstdint>

#include "engine/network.h"

namespace retort::engine::kernels {

enum class Activation : uint8_t { None, Relu, Relu6 };

struct BlockedShape {
  int images = 0;
  int channel_blocks = 0;
  int height = 1;
  int width = 1;
  int block = 8;  // 8 or 16
  [[nodiscard]] size_t pixels() const { return static_cast<size_t>(height) * static_cast<size_t>(width); }
  [[nodiscard]] size_t channels() const {
    return static_cast<size_t>(channel_blocks) * static_cast<size_t>(block);
  }
  [[nodiscard]] size_t image_size() const { return pixels() * channels(); }
  [[nodiscard]] size_t size() const { return image_size() * static_cast<size_t>(images); }
};

struct PlanarShape {
  int images = 0;
  int channels = 0;
  int height = 0;  // without the border
  int width = 0;
  int pad_top = 0;
  int pad_bottom = 0;
  int pad_left = 0;
  int pad_right = 0;
  [[nodiscard]] int padded_height() const { return pad_top + height + pad_bottom; }
  [[nodiscard]] int padded_width() const { return pad_left + width + pad_right; }
  [[nodiscard]] size_t image_size() const {
    return static_cast<size_t>(channels) * static_cast<size_t>(padded_height()) *
           static_cast<size_t>(padded_width());
  }
  [[nodiscard]] size_t size() const { return image_size() * static_cast<size_t>(images); }
};

// Window of a pool or depthwise convolution. Output sizes come with the output's shape; a window may reach
// over any edge (pad_bottom and pad_right follow from the sizes) but holds at least one cell of the image.
struct Window2d {
  int height = 2;
  int width = 2;
  int stride_height = 2;
  int stride_width = 2;
  int pad_top = 0;
  int pad_left = 0;
};

// --- images.cpp: bytes to floats, and between layouts ---

// nhwc: images × height × width × channels bytes; a byte b becomes b/255. Writes the border too.
void bytes_to_planar(const PlanarShape& shape, const uint8_t* nhwc, float* planar);
// Any channel count ≤ shape.channels(); the other lanes become 0.
void bytes_to_blocked(const BlockedShape& shape, int channels, const uint8_t* nhwc, float* blocked);

// Rows of height · width · channels floats (Flatten's order); rows begin every row_stride floats. Writing
// rows fills the rest of each row with 0; reading rows gives 0 in the lanes that don't exist.
void blocked_to_rows(const BlockedShape& shape, int channels, const float* blocked, float* rows,
                     size_t row_stride);
void rows_to_blocked(const BlockedShape& shape, int channels, const float* rows, size_t row_stride,
                     float* blocked);

// --- first_conv.cpp: the network's first convolution, 1 to 4 input channels ---

// weights: [out block][kernel height][kernel width][in channel][B]. bias: [C]. Kernel up to 512 taps
// (kernel height · kernel width · channels).
struct FirstConvShape {
  PlanarShape input;  // border as the padding asks
  int kernel_height = 3;
  int kernel_width = 3;
  int stride_height = 1;
  int stride_width = 1;
  BlockedShape output;
};
inline constexpr int kFirstConvMaximumTaps = 512;

// output = activation(conv(input, weights) + bias); bias or null.
void first_conv_forward(const FirstConvShape& shape, const float* input, const float* weights,
                        const float* bias, Activation activation, float* output);
// Adds to dweights and dbias (or null). dy is the gradient before the activation (see activation_backward),
// or after it when `output` (the forward's result, or null) is given: then the mask is applied on the way.
void first_conv_backward_weights(const FirstConvShape& shape, const float* input, const float* dy,
                                 const float* output, Activation activation, float* dweights, float* dbias);

// The same with a 2×2 max pool of stride 2 behind the activation, without storing the unpooled tensor. Stride
// 1 only; shape.output is the pooled tensor, whose size is the convolution's halved (an odd last row or
// column is dropped). argmax: one byte an output value, 0..3 = 2·row + column of the first largest cell; or
// null for inference.
void first_conv_pool_forward(const FirstConvShape& shape, const float* input, const float* weights,
                             const float* bias, Activation activation, float* output, uint8_t* argmax);
// From the gradient dy of the pooled output; the mask comes from `output` (or null, when there is no
// activation). Adds to dweights and dbias (or null).
void first_conv_pool_backward_weights(const FirstConvShape& shape, const float* input, const float* dy,
                                      const float* output, const uint8_t* argmax, Activation activation,
                                      float* dweights, float* dbias);

// --- depthwise.cpp: one filter a channel, on blocked tensors ---

// weights: [channel block][kernel height][kernel width][B]. bias: [C] or null.
void depthwise_forward(const BlockedShape& in, const BlockedShape& out, const Window2d& window,
                       const float* x, const float* weights, const float* bias, Activation activation,
                       float* y);
// Overwrites dx. dy is the gradient before the activation.
void depthwise_backward_data(const BlockedShape& in, const BlockedShape& out, const Window2d& window,
                             const float* dy, const float* weights, float* dx);
// Adds to dweights and dbias (or null).
void depthwise_backward_weights(const BlockedShape& in, const BlockedShape& out, const Window2d& window,
                                const float* x, const float* dy, float* dweights, float* dbias);

// --- batch_norm.cpp ---

// Training, forward: batch_norm_shift once, batch_norm_sums on each range, batch_norm_finish,
// batch_norm_forward on each range. Backward: batch_norm_backward_sums on each range,
// batch_norm_backward_finish, batch_norm_backward on each range. `sums` of one range are 2 · C doubles; of
// several, one after the other.

// Sums of chunks are taken in float about a value near the mean and added up in double, so a mean far from
// zero costs no accuracy. shift [C]: the first pixel of x's first image.
void batch_norm_shift(const BlockedShape& shape, const float* x, float* shift);
// sums: [Σ(x − shift)][Σ(x − shift)²], overwritten.
void batch_norm_sums(const BlockedShape& shape, const float* x, const float* shift, double* sums);
// count = images · pixels of the whole batch. variance: the biased one, [C] or null, for the running average.
void batch_norm_finish(size_t channels, int ranges, int64_t count, const double* sums, const float* shift,
                       float epsilon, float* mean, float* inv_std, float* variance);
// Inference: inv_std = 1/sqrt(variance + epsilon).
void batch_norm_inv_std(size_t channels, const float* variance, float epsilon, float* inv_std);

// The numbers of one batch norm: [C] each, views.
struct BatchNormView {
  const float* mean = nullptr;     // of the batch, or the running one in inference
  const float* inv_std = nullptr;  // likewise
  const float* gamma = nullptr;
  const float* beta = nullptr;
  Activation activation = Activation::None;  // fused behind it
};

// y = activation((x − mean) · inv_std · gamma + beta). y may be x.
void batch_norm_forward(const BlockedShape& shape, const BatchNormView& norm, const float* x, float* y);

// dy is the gradient of y; the mask of the activation is computed again from x as forward did.
// sums: [Σ dy'][Σ dy' · x̂], overwritten.
void batch_norm_backward_sums(const BlockedShape& shape, const BatchNormView& norm, const float* x,
                              const float* dy, double* sums);
// Overwrites dgamma and dbeta [C].
void batch_norm_backward_finish(size_t channels, int ranges, const double* sums, float* dgamma, float* dbeta);
// dx, which may be dy. input_activation: what made x, when its mask is wanted too (conv → ReLU → batch norm:
// dx is the gradient before that ReLU, 0 where x ≤ 0). dgamma and dbeta are those of the whole batch of
// `count` values.
void batch_norm_backward(const BlockedShape& shape, const BatchNormView& norm, Activation input_activation,
                         int64_t count, const float* dgamma, const float* dbeta, const float* x,
                         const float* dy, float* dx);

// --- pool.cpp ---

inline constexpr int kMaxPoolMaximumCells = 256;  // of a window
// argmax (or null): one byte a value of y, row · window.width + column of the first largest cell.
void max_pool_forward(const BlockedShape& in, const BlockedShape& out, const Window2d& window, const float* x,
                      float* y, uint8_t* argmax);
// Overwrites dx. y (or null): pooled output of an activation's output; then the gradient before that
// activation.
void max_pool_backward(const BlockedShape& in, const BlockedShape& out, const Window2d& window,
                       const float* dy, const uint8_t* argmax, const float* y, Activation activation,
                       float* dx);
// The mean over the cells inside the image.
void avg_pool_forward(const BlockedShape& in, const BlockedShape& out, const Window2d& window, const float* x,
                      float* y);
// Overwrites dx.
void avg_pool_backward(const BlockedShape& in, const BlockedShape& out, const Window2d& window,
                       const float* dy, float* dx);
// To and from a flat tensor of in.channels().
void global_avg_pool_forward(const BlockedShape& in, const float* x, float* flat);
// y (or null): the tensor that was averaged, output of `activation`; then the gradient before that
// activation.
void global_avg_pool_backward(const BlockedShape& in, const float* dflat, const float* y,
                              Activation activation, float* dx);

// --- elementwise.cpp: n floats, any layout. Outputs may be inputs. ---

void activation_forward(size_t n, Activation activation, const float* x, float* y);
// dx = dy where the activation passed (0 < y, and y < 6 for Relu6), else 0.
void activation_backward(size_t n, Activation activation, const float* y, const float* dy, float* dx);
// y = activation(a + b). Its backward is activation_backward to both.
void add_forward(size_t n, const float* a, const float* b, Activation activation, float* y);
// y += x.
void accumulate(size_t n, const float* x, float* y);

// y_i = x_i / (1 − rate) or 0, decided by a hash of key and `offset + i` alone, so any split of a tensor
// gives the same; nothing is stored: backward is the same call on dy. Keep probability is exact to 2⁻²⁴. 0 ≤
// rate < 1.
void dropout(size_t n, float rate, uint64_t key, uint64_t offset, const float* x, float* y);

// --- loss.cpp ---

struct LossResult {
  double loss_sum = 0;  // over the images given
  int correct = 0;      // argmax (the first of equals) is the label
};
// logits: images rows of `stride` floats, of which the first `classes` count. teacher_logits: images ×
// classes, dense, or null when objective.alpha is 1. dlogits (or null; may be logits): same rows, divided by
// batch_count (the images of the whole batch); entries beyond `classes` become 0.
LossResult softmax_loss(int images, int classes, size_t stride, const float* logits, const uint16_t* labels,
                        const float* teacher_logits, const Objective& objective, int batch_count,
                        float* dlogits);

// --- optimizer.cpp: flat arrays of n, one pass; false when a weight or a second moment is not finite after it ---

// Step number `step` counts from 1. weight_decay applies to this range as given by options (pass 0 for biases
// and norms): w −= learning_rate · weight_decay · w before the step. mask (or null): w is multiplied by it
// after the step.
bool adam_step(size_t n, const OptimizerOptions& options, float learning_rate, int64_t step,
               const float* gradient, const float* mask, float* first, float* second, float* weights);
// Keras's form: v = momentum · v − lr · g; w += momentum · v − lr · g.
bool sgd_step(size_t n, const OptimizerOptions& options, float learning_rate, const float* gradient,
              const float* mask, float* velocity, float* weights);

// --- fake_quant.cpp ---

struct Range {
  float minimum = 0;
  float maximum = 0;
};
// n ≥ 1. Lanes that don't exist hold 0, which every range contains anyway.
Range min_max(size_t n, const float* x);
// y = (clamp(nearest even(x / scale) + zero_point, −128, 127) − zero_point) · scale; y may be x. pass_bits
// (or null): bit i of byte i / 8 is set where the clamp changes nothing (the largest value of a batch that
// sets its own range lies inside, whatever its last bit): a 32nd of the tensor's size, cheaper than keeping
// x. n is a multiple of 8.
void fake_quantize(size_t n, float scale, int zero_point, const float* x, float* y, uint8_t* pass_bits);
// dx = dy where the bit is set, else 0; dx may be dy.
void fake_quantize_backward(size_t n, const uint8_t* pass_bits, const float* dy, float* dx);

// Symmetric int8 grid of each output channel: scale = graph::weight_scale(max|w|), quantized = nearest
// even(w / scale) · scale. The gradient passes unchanged. scales [out blocks · B] (or null). Any layout [out
// block][inner][B out]: OIhw{B}i{B}o, depthwise's and the first convolution's.
void fake_quantize_weights_blocked(int out_blocks, size_t inner, int block, const float* weights,
                                   float* quantized, float* scales);
// Row-major [rows = out channels][columns].
void fake_quantize_weights_rows(size_t rows, size_t columns, const float* weights, float* quantized,
                                float* scales);

}  // namespace retort::engine::kernels
