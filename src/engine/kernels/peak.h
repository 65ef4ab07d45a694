// The machine's own limit, against which training speed is judged.
#pragma once

#include <optional>

namespace retort::engine::kernels {

// Float32 operations a second (a multiply-add counts as two) of the calling thread's core, by independent
// fused multiply-adds in registers for about `seconds`, the best of several tries.
double multiply_add_peak(double seconds);

// The same of products of bfloat16 numbers, added up in float32 (AVX512_BF16's VDPBF16PS). Nothing where the
// CPU has no such instruction.
std::optional<double> bfloat16_multiply_add_peak(double seconds);

}  // namespace retort::engine::kernels
