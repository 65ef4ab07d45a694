// Runs the golden inputs of @name@ and compares every byte; then prints the class of the first.
#include <cstdint>
#include <cstdio>
#include <cstring>

#include "../@name@_golden.h"
#include "../@name@_tflm.h"
#include "tensorflow/lite/micro/micro_interpreter.h"
#include "tensorflow/lite/schema/schema_generated.h"

namespace {
alignas(16) uint8_t arena[@name@_arena_bytes];
}

int main() {
  @name@_resolver resolver;
  if (@name@_register(resolver) != kTfLiteOk) return 1;
  tflite::MicroInterpreter interpreter(tflite::GetModel(@name@_tflite), resolver, arena, sizeof arena);
  if (interpreter.AllocateTensors() != kTfLiteOk) {
    std::printf("the arena of %u bytes is too small for this version of TensorFlow Lite Micro\n",
                static_cast<unsigned>(sizeof arena));
    return 1;
  }
  int wrong = 0;
  for (int i = 0; i < @MACRO@_GOLDEN_COUNT; ++i) {
    std::memcpy(interpreter.input(0)->data.raw, @name@_golden_inputs + i * @MACRO@_GOLDEN_INPUT_BYTES,
                @MACRO@_GOLDEN_INPUT_BYTES);
    if (interpreter.Invoke() != kTfLiteOk) return 1;
    wrong += std::memcmp(interpreter.output(0)->data.raw, @name@_golden_outputs + i * @MACRO@_GOLDEN_OUTPUT_BYTES,
                         @MACRO@_GOLDEN_OUTPUT_BYTES) != 0;
  }
  std::printf("%d of %d golden outputs differ; the first input's class is %d\n", wrong, @MACRO@_GOLDEN_COUNT,
              @MACRO@_GOLDEN_CLASS);
  return wrong == 0 ? 0 : 1;
}
