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

template <typename Body>
void on_each(int threads, const Body& body) {
  if (threads <= 1) {
    body();
    return;
  }
#pragma omp parallel num_threads(threads)
  body();
}

}  // namespace

FlushDenormals::FlushDenormals(int threads) : threads_(threads), previous_(control()) {
  on_each(threads, [flushing = control() | kFlush] { set_control(flushing); });
}

FlushDenormals::~FlushDenormals() {
  // Not each thread's own: libgomp may have replaced some since, and a new one begins as the one that made it.
  on_each(threads_, [this] { set_control(static_cast<Register>(previous_)); });
}

bool flushes_denormals() {
  return kFlush != 0 && (control() & kFlush) == kFlush;
}

}  // namespace retort::engine
