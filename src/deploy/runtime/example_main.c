/* Classifies one stored image and prints the class, and the processor's cycles where it counts them. */
#include <stdio.h>
#include <string.h>

#include "../@name@.h"
@image_include@#include "../@name@_self_test.h"

#if defined(__ARM_ARCH_7M__) || defined(__ARM_ARCH_7EM__) || defined(__ARM_ARCH_8M_MAIN__)
@cortex_m@#else
#define COUNTED "cycles"
static void start_counting(void) {}
static uint32_t counted(void) { return 0; }
#endif

@core@
int main(void) {
  char line[160];
  int wrong;
  start_counting();
  wrong = classify(line, sizeof line);
  printf("%s\n", line);
  return wrong;
}
