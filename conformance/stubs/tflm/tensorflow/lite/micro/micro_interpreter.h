#pragma once

#include "tensorflow/lite/micro/micro_mutable_op_resolver.h"

union TfLitePtrUnion {
  char* raw;
  int8_t* int8;
  float* f;
};

struct TfLiteTensor {
  TfLitePtrUnion data;
};

namespace tflite {

struct Model;

class MicroInterpreter {
 public:
  MicroInterpreter(const Model* model, const MicroOpResolver& op_resolver, uint8_t* tensor_arena,
                   size_t tensor_arena_size);
  TfLiteStatus AllocateTensors();
  TfLiteStatus Invoke();
  TfLiteTensor* input(size_t index);
  TfLiteTensor* output(size_t index);
};

}  // namespace tflite
