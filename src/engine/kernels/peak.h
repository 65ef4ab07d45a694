// The machine's own limit, against which training speed is judged.
#pragma once

namespace retort::engine::kernels {

// Float32 operations a second (a multiply-add counts as two) of the calling thread's core, by independent
// fused multiply-adds in registers for about `seconds`, the best of several tries.
double multiply_add_peak(double seconds);

}  // namespace retort::engine::kernels
