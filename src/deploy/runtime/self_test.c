#include "@name@_self_test.h"

#include "@name@.h"
#include "@name@_golden.h"

@crc32@
int @name@_self_test(void) {
  const uint32_t input_bytes = @MACRO@_GOLDEN_INPUT_BYTES, output_bytes = @MACRO@_GOLDEN_OUTPUT_BYTES;
  uint32_t crc = crc32_of(0, @name@_golden_inputs, sizeof @name@_golden_inputs);
  uint32_t i, b;
  int wrong = 0;
  crc = crc32_of(crc, @name@_golden_outputs, sizeof @name@_golden_outputs);
  if (crc != @MACRO@_GOLDEN_CRC32) return -1;
  for (i = 0; i < @MACRO@_GOLDEN_COUNT; ++i) {
    uint8_t *input = (uint8_t *)@name@_input();
    const uint8_t *output = (const uint8_t *)@name@_output();
    for (b = 0; b < input_bytes; ++b) input[b] = @name@_golden_inputs[i * input_bytes + b];
    @name@_invoke();
    for (b = 0; b < output_bytes && output[b] == @name@_golden_outputs[i * output_bytes + b];) ++b;
    wrong += b < output_bytes;
  }
  return wrong;
}

const void *@name@_golden_input(void) { return @name@_golden_inputs; }

int @name@_golden_class(void) { return @MACRO@_GOLDEN_CLASS; }
