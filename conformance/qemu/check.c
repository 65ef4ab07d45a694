/* Runs a model on its inputs, compares with what is expected, and counts instructions and the stack. The script
 * writes case.h. */
#include "board.h"
#include "case.h"

int main(void) {
  uint32_t i, b, most = 0, least = 0xffffffffu, wrong = 0;
  paint_stack();
  for (i = 0; i < INPUTS; ++i) {
    uint8_t *to = (uint8_t *)MODEL_input();
    const uint8_t *output;
    uint32_t before, taken;
    for (b = 0; b < INPUT_BYTES; ++b) to[b] = inputs[i * INPUT_BYTES + b];
    before = ticks();
    MODEL_invoke();
    taken = ticks() - before;
    if (taken > most) most = taken;
    if (taken < least) least = taken;
    output = (const uint8_t *)MODEL_output();
    for (b = 0; b < OUTPUT_BYTES; ++b) wrong += output[b] != outputs[i * OUTPUT_BYTES + b];
  }
  print_number("wrong", wrong);
  print_number("instructions", (int64_t)least * INSTRUCTIONS_A_TICK);
  print_number("most_instructions", (int64_t)most * INSTRUCTIONS_A_TICK);
  print_number("stack", stack_used());
  return wrong == 0 ? 0 : 1;
}
