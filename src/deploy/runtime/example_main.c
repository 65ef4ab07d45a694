/* Classifies one stored image and prints the class, and the processor's cycles where it counts them. */
#include <stdio.h>
#include <string.h>

#include "../@name@.h"
#include "../@name@_golden.h"
#include "../@name@_self_test.h"

/* Cortex-M3 and above count cycles in DWT; elsewhere the example prints none. */
#if defined(__ARM_ARCH_7M__) || defined(__ARM_ARCH_7EM__) || defined(__ARM_ARCH_8M_MAIN__)
static void start_counting(void) {
  *(volatile uint32_t *)0xe000edfc |= 1u << 24; /* DEMCR: trace on */
  *(volatile uint32_t *)0xe0001004 = 0;         /* DWT_CYCCNT */
  *(volatile uint32_t *)0xe0001000 |= 1u;       /* DWT_CTRL: count */
}
static uint32_t cycles(void) { return *(volatile uint32_t *)0xe0001004; }
#else
static void start_counting(void) {}
static uint32_t cycles(void) { return 0; }
#endif

int main(void) {
  uint32_t before, taken;
  int i, best = 0;
  const int wrong = @name@_self_test();
  if (wrong != 0) {
    printf("self-test failed: %d\n", wrong);
    return 1;
  }
  memcpy(@name@_input(), @name@_golden_inputs, @MACRO@_GOLDEN_INPUT_BYTES);
  start_counting();
  before = cycles();
  @name@_invoke();
  taken = cycles() - before;
  for (i = 1; i < @MACRO@_OUTPUT_SIZE; ++i)
    if (@name@_output()[i] > @name@_output()[best]) best = i;
  printf("self-test passed, class %d", best);
#ifdef @MACRO@_HAS_CLASS_NAMES
  printf(" (%s)", @name@_class_names[best]);
#endif
  if (taken != 0) printf(", %lu cycles", (unsigned long)taken);
  printf("\n");
  return best == @MACRO@_GOLDEN_CLASS ? 0 : 1;
}
