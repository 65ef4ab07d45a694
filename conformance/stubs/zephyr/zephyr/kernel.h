// Of Zephyr what our example calls.
#pragma once

#include <stdint.h>

uint32_t k_cycle_get_32(void);
int sys_clock_hw_cycles_per_sec(void);
