// Instruction sets that the kernels are compiled for: included before Highway in every kernel file. A
// portable baseline, SSE4 for old machines, AVX2 and AVX-512; those between add compile time and no speed.
#pragma once

// Highway numbers x86's targets from the newest: all that are newer than plain AVX-512 are left out.
#define HWY_DISABLED_TARGETS (HWY_SSSE3 | (HWY_AVX3 - 1))
