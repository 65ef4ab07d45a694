// Of Arduino's core what our example calls. Compiled and run, on QEMU, by conformance/packages.py.
#pragma once

#include <stddef.h>
#include <stdint.h>

struct HardwareSerial {
  void begin(unsigned long baud);
  size_t println(const char text[]);
};
extern HardwareSerial Serial;

#if defined(ARDUINO_ARCH_ESP32) || defined(ARDUINO_ARCH_ESP8266)
struct EspClass {
  uint32_t getCycleCount();
};
extern EspClass ESP;
#endif

extern "C" {
unsigned long micros(void);
void delay(unsigned long milliseconds);
}

void setup();
void loop();
