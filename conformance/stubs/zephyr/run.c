#include <stdarg.h>
#include <stdio.h>
#include <zephyr/kernel.h>
#include <zephyr/sys/printk.h>

#include "../../qemu/board.h"

uint32_t k_cycle_get_32(void) { return ticks(); }

int sys_clock_hw_cycles_per_sec(void) { return 25000000; }

void printk(const char *format, ...) {
  char text[256];
  va_list arguments;
  va_start(arguments, format);
  vsnprintf(text, sizeof text, format, arguments);
  va_end(arguments);
  print(text);
}
