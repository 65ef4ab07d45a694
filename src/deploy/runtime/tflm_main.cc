// Self-test of @name@: runs the golden inputs and compares every byte; then prints the class of the first, a stored image
// where the model takes images, and the processor's cycles where it counts them.
#include <cstdint>
#include <cstdio>
#include <cstring>

#include "../@name@_golden.h"
#include "../@name@_tflm.h"
#include "tensorflow/lite/micro/micro_interpreter.h"
#include "tensorflow/lite/schema/schema_generated.h"

#if defined(__ARM_ARCH_7M__) || defined(__ARM_ARCH_7EM__) || defined(__ARM_ARCH_8M_MAIN__)
@cortex_m@#else
#define COUNTED "cycles"
static void start_counting() {}
static uint32_t counted() { return 0; }
#endif

@crc32@
namespace {
alignas(16) uint8_t arena[@name@_arena_bytes];
}

int main() {
  uint32_t crc = crc32_of(0, @name@_golden_inputs, sizeof @name@_golden_inputs);
  crc = crc32_of(crc, @name@_golden_outputs, sizeof @name@_golden_outputs);
  if (crc != @MACRO@_GOLDEN_CRC32) {
    std::printf("self-test failed: -1\n");
    return 1;
  }
  @name@_resolver resolver;
  if (@name@_register(resolver) != kTfLiteOk) return 1;
  tflite::MicroInterpreter interpreter(tflite::GetModel(@name@_tflite), resolver, arena, sizeof arena);
  if (interpreter.AllocateTensors() != kTfLiteOk) {
    std::printf("the arena of %u bytes is too small for this version of TensorFlow Lite Micro\n",
                static_cast<unsigned>(sizeof arena));
    return 1;
  }
  start_counting();
  int wrong = 0;
  uint32_t taken = 0;
  for (int i = 0; i < @MACRO@_GOLDEN_COUNT; ++i) {
    std::memcpy(interpreter.input(0)->data.raw, @name@_golden_inputs + i * @MACRO@_GOLDEN_INPUT_BYTES,
                @MACRO@_GOLDEN_INPUT_BYTES);
    const uint32_t before = counted();
    if (interpreter.Invoke() != kTfLiteOk) return 1;
    if (i == 0) taken = counted() - before;
    wrong += std::memcmp(interpreter.output(0)->data.raw, @name@_golden_outputs + i * @MACRO@_GOLDEN_OUTPUT_BYTES,
                         @MACRO@_GOLDEN_OUTPUT_BYTES) != 0;
  }
  if (wrong != 0) {
    std::printf("self-test failed: %d\n", wrong);
    return 1;
  }
  std::printf("self-test passed, class %d", @MACRO@_GOLDEN_CLASS);
  if (taken != 0) std::printf(", %lu " COUNTED, static_cast<unsigned long>(taken));
  std::printf("\n");
  return 0;
}
