/* The least that a program on QEMU's mps2-an386 needs: start, text and exit by semihosting, an instruction counter. */
#pragma once
#include <stdint.h>

void print(const char* text);
void print_number(const char* name, int64_t value); /* "name value" and a new line */
void leave(int status);
/* Instructions so far, in steps of 40, under -icount shift=0; counts to 2^32 ticks. */
uint32_t ticks(void);
enum { INSTRUCTIONS_A_TICK = 40 };
/* Fills the stack below with a pattern; then how many bytes of it have been used since, by what was called. */
void paint_stack(void);
uint32_t stack_used(void);
