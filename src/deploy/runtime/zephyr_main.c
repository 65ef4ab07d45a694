/* Classifies one stored image and prints the class and the cycles. */
#include <stdint.h>
#include <stdio.h>
#include <string.h>
#include <zephyr/kernel.h>
#include <zephyr/sys/printk.h>

#include "@name@.h"
@image_include@#include "@name@_self_test.h"

/* Of the clock that the kernel counts, which on some chips is slower than the processor's. */
#define COUNTED "cycles"
static uint32_t counted(void) { return k_cycle_get_32(); }

@core@
int main(void) {
  char line[160];
  const int wrong = classify(line, sizeof line);
  printk("%s\n", line);
  if (wrong == 0) printk("the counter runs at %d Hz\n", (int)sys_clock_hw_cycles_per_sec());
  return 0;
}
