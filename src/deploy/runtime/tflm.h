// @name@ for TensorFlow Lite Micro: the file, its operators, its arena.
#pragma once

#include <cstddef>

#include "tensorflow/lite/micro/micro_mutable_op_resolver.h"

extern const unsigned char @name@_tflite[];
constexpr size_t @name@_tflite_bytes = @file_bytes@;

// The smallest arena with which AllocateTensors succeeds, for an arena that begins at a multiple of 16 bytes: on 32-bit
// microcontrollers, and on a 64-bit machine.
constexpr size_t @name@_arena_bytes = sizeof(void *) == 8 ? @arena_64@ : @arena_32@;

// Exactly the operators that the model needs.
using @name@_resolver = tflite::MicroMutableOpResolver<@operator_count@>;
TfLiteStatus @name@_register(@name@_resolver &resolver);
