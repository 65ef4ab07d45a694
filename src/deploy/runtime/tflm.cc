#include "@name@_tflm.h"

TfLiteStatus @name@_register(@name@_resolver &resolver) {
@operators@  return kTfLiteOk;
}

alignas(16) const unsigned char @name@_tflite[@name@_tflite_bytes] = {@array@};
