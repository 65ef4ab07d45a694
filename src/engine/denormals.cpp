#include "engine/denormals.h"

#include <cstdint>

#if defined(__x86_64__)
#include <immintrin.h>
#endif

namespace retort::engine {
namespace {

#if defined(__x86_64__)
using Register = uint32_t;
constexpr Register kFlush = 0x8040;  // MXCSR: flush results to zero, take operands as zero
Register control() {
  return _mm_getcsr();
}
void set_control(Register value) {
  _mm_setcsr(value);
}
#elif defined(__aarch64__)
using Register = uint64_t;
constexpr Register kFlush = uint64_t{1} << 24;  // FPCR.FZ: both
Register control() {
  Register value = 0;
  __asm__ volatile("mrs %0, fpcr" : "=r"(value));
  return value;
}
void set_control(Register value) {
  __asm__ volatile("msr fpcr, %0" : : "r"(value));
}
#else
using Register = uint32_t;
constexpr Register kFlush = 0;
Register control() {
  return 0;
}
void set_control(Register) {}
#endif

// On this thread first: clang's runtime gives the others what it has as a region begins, and it back after the region what it had
// before. gcc's leaves every thread what it sets itself.
void set_control_of_all(int threads, Register value) {
  set_control(value);
  if (threads <= 1) return;
#pragma omp parallel num_threads(threads)
  set_control(value);
}

}  // namespace

FlushDenormals::FlushDenormals(int threads) : threads_(threads), previous_(control()) {
  set_control_of_all(threads, control() | kFlush);
}

FlushDenormals::~FlushDenormals() {
  // Not each thread's own: libgomp may have replaced some since, and a new one begins as the one that made it.
  set_control_of_all(threads_, static_cast<Register>(previous_));
}

bool flushes_denormals() {
  return kFlush != 0 && (control() & kFlush) == kFlush;
}

}  // namespace retort::engine
