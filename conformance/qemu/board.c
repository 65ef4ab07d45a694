#include "board.h"

extern uint32_t stack_top, data_start, data_end, data_source, bss_start, bss_end;
int main(void);

static int semihosting(int operation, const void *argument) {
  register int r0 __asm__("r0") = operation;
  register const void *r1 __asm__("r1") = argument;
  __asm__ volatile("bkpt 0xab" : "+r"(r0) : "r"(r1) : "memory");
  return r0;
}

void print(const char *text) { semihosting(0x04, text); }

void print_number(const char *name, int64_t value) {
  char digits[24];
  char *at = digits + sizeof digits;
  uint64_t rest = value < 0 ? 0u - (uint64_t)value : (uint64_t)value;
  *--at = 0;
  *--at = '\n';
  do *--at = (char)('0' + rest % 10);
  while ((rest /= 10) != 0);
  if (value < 0) *--at = '-';
  print(name);
  print(" ");
  print(at);
}

void leave(int status) {
  const uint32_t reason[2] = {0x20026 /* the application's own exit */, (uint32_t)status};
  semihosting(0x20, reason);
  for (;;) {
  }
}

#define TIMER ((volatile uint32_t *)0x40000000) /* CMSDK: control, value, reload; counts down */
uint32_t ticks(void) { return 0u - TIMER[1]; }

enum { PAINTED = 16384, PATTERN = 0x5aa5c33c };
static volatile uint32_t *painted_end;
void paint_stack(void) {
  volatile uint32_t *at;
  __asm__ volatile("mov %0, sp" : "=r"(at));
  painted_end = at;
  while (at > painted_end - PAINTED / 4) *--at = PATTERN;
}
uint32_t stack_used(void) {
  volatile uint32_t *at = painted_end - PAINTED / 4;
  while (at < painted_end && *at == PATTERN) ++at;
  return (uint32_t)((painted_end - at) * 4);
}

void reset(void) {
  uint32_t *from = &data_source, *to;
  for (to = &data_start; to < &data_end;) *to++ = *from++;
  for (to = &bss_start; to < &bss_end;) *to++ = 0;
  TIMER[2] = 0xffffffffu;
  TIMER[1] = 0xffffffffu;
  TIMER[0] = 1;
  leave(main());
}

static void fault(void) {
  print("fault\n");
  leave(3);
}
typedef void (*handler)(void);
__attribute__((section(".vectors"), used)) static const struct {
  uint32_t *stack;
  handler handlers[15];
} vectors = {&stack_top, {reset, fault, fault, fault, fault, fault, 0, 0, 0, 0, fault, fault, 0, fault, fault}};
