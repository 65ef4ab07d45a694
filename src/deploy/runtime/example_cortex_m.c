/* Cortex-M3 and above count cycles in DWT. */
#define COUNTED "cycles"
static void set_register(uint32_t address, uint32_t value) { *(volatile uint32_t *)address = value; }
static uint32_t counted(void) { return *(volatile uint32_t *)0xe0001004; /* DWT_CYCCNT */ }
static void start_counting(void) {
  set_register(0xe000edfc, *(volatile uint32_t *)0xe000edfc | 1u << 24); /* DEMCR: trace on */
  set_register(0xe0001fb0, 0xc5acce55u);                                 /* DWT_LAR: unlocks a Cortex-M7's */
  set_register(0xe0001004, 0);
  set_register(0xe0001000, *(volatile uint32_t *)0xe0001000 | 1u); /* DWT_CTRL: count */
}
