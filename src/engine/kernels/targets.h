// Instruction sets that the kernels are compiled for: included before Highway in every kernel file. A
// portable baseline, SSE4 for old machines, AVX2 and AVX-512; those between add compile time and no speed.
#pragma once

#define HWY_DISABLED_TARGETS (HWY_SSSE3 | HWY_AVX3_DL)
