/* Cortex-M3 and above count cycles in DWT. */
#define COUNTED "cycles"
static void start_counting(void) {
  *(volatile uint32_t *)0xe000edfc |= 1u << 24; /* DEMCR: trace on */
  *(volatile uint32_t *)0xe0001fb0 = 0xc5acce55u; /* DWT_LAR: unlocked, where a Cortex-M7 has a lock */
  *(volatile uint32_t *)0xe0001004 = 0; /* DWT_CYCCNT */
  *(volatile uint32_t *)0xe0001000 |= 1u; /* DWT_CTRL: count */
}
static uint32_t counted(void) { return *(volatile uint32_t *)0xe0001004; }
