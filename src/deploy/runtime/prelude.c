#ifndef RETORT_PRELUDE
#define RETORT_PRELUDE
/* The kernels have two variants that give the same bytes: plain C99, and one that uses the DSP instructions of
 * Cortex-M4, M7, M33 and above. RETORT_DSP=0 on the compiler's command line chooses plain C where the instructions
 * would be there. */
#ifndef RETORT_DSP
#if defined(__ARM_FEATURE_DSP) && defined(__thumb2__) && defined(__GNUC__)
#define RETORT_DSP 1
#else
#define RETORT_DSP 0
#endif
#endif

/* Not every network needs every one. */
#ifdef __GNUC__
#define RETORT_INLINE __attribute__((unused)) static inline
/* One copy of a kernel, the same in every network: what it takes of flash and time was measured. */
#ifdef __clang__
#define RETORT_KERNEL __attribute__((noinline)) static
#else
#define RETORT_KERNEL __attribute__((noipa)) static
#endif
#else
#define RETORT_INLINE static inline
#define RETORT_KERNEL static
#endif

#if RETORT_DSP
/* A function of assembly: its arguments are in r0 to r3. */
#define RETORT_ASSEMBLY __attribute__((naked, noinline)) static
#define RETORT_ARGUMENT __attribute__((unused))
/* Four bytes, or two 16-bit numbers, at any address. */
typedef struct {
  uint32_t value;
} __attribute__((packed, may_alias)) retort_word;
RETORT_INLINE uint32_t retort_load(const void *from) { return ((const retort_word *)from)->value; }
RETORT_INLINE void retort_store(void *to, uint32_t value) { ((retort_word *)to)->value = value; }
/* Bytes 0 and 2, or 1 and 3, as two 16-bit numbers. */
RETORT_INLINE uint32_t retort_even_bytes(uint32_t four) {
  uint32_t result;
  __asm__("sxtb16 %0, %1" : "=r"(result) : "r"(four));
  return result;
}
RETORT_INLINE uint32_t retort_odd_bytes(uint32_t four) {
  uint32_t result;
  __asm__("sxtb16 %0, %1, ror #8" : "=r"(result) : "r"(four));
  return result;
}
/* sum + the two products of 16-bit numbers. */
RETORT_INLINE int32_t retort_multiply_pairs(uint32_t a, uint32_t b, int32_t sum) {
  int32_t result;
  __asm__("smlad %0, %1, %2, %3" : "=r"(result) : "r"(a), "r"(b), "r"(sum));
  return result;
}
/* The high half of 2ab, rounded half up; a below 2^30. */
RETORT_INLINE int32_t retort_high_multiply_narrow(int32_t a, int32_t b) {
  int32_t result;
  __asm__("smmulr %0, %1, %2" : "=r"(result) : "r"(a * 2), "r"(b));
  return result;
}
#else
RETORT_INLINE int32_t retort_high_multiply_narrow(int32_t a, int32_t b) {
  return (int32_t)(((int64_t)a * b + (1 << 30)) >> 31);
}
#endif

RETORT_INLINE int32_t retort_clamp(int32_t value, int32_t minimum, int32_t maximum) {
  return value < minimum ? minimum : value > maximum ? maximum : value;
}

/* The low 32 bits, as two's complement. */
RETORT_INLINE int32_t retort_wrap(uint32_t value) {
  return value <= INT32_MAX ? (int32_t)value : -(int32_t)(UINT32_MAX - value) - 1;
}

/* The high half of 2ab, rounded half up; INT32_MIN times itself saturates. */
RETORT_INLINE int32_t retort_high_multiply(int32_t a, int32_t b) {
  if (a == INT32_MIN && b == INT32_MIN) return INT32_MAX;
  return (int32_t)(((int64_t)a * b + (1 << 30)) >> 31);
}

/* value / 2^exponent, rounded half away from zero. */
RETORT_INLINE int32_t retort_divide_by_power(int32_t value, int32_t exponent) {
  const int32_t mask = (int32_t)(((uint32_t)1 << exponent) - 1u);
  return (value >> exponent) + ((value & mask) > (mask >> 1) + (value < 0 ? 1 : 0) ? 1 : 0);
}

/* value * multiplier * 2^(shift - 31), rounded twice as TensorFlow Lite does. */
RETORT_INLINE int32_t retort_multiply(int32_t value, int32_t multiplier, int32_t shift) {
  const uint32_t left = shift > 0 ? (uint32_t)shift : 0u;
  return retort_divide_by_power(retort_high_multiply(retort_wrap((uint32_t)value << left), multiplier),
                                shift < 0 ? -shift : 0);
}
#endif
