// Classifies one stored image and prints the class and the time that it took, over and over.
#include <Arduino.h>
#include <stdio.h>
#include <string.h>

#include <@name@.h>
@image_include@#include <@name@_self_test.h>

#if defined(__AVR__)
#error "The code needs a processor of 32 bits, and more memory than an AVR has."
#endif

#if defined(__ARM_ARCH_7M__) || defined(__ARM_ARCH_7EM__) || defined(__ARM_ARCH_8M_MAIN__)
@cortex_m@#elif defined(ARDUINO_ARCH_ESP32) || defined(ARDUINO_ARCH_ESP8266)
#define COUNTED "cycles"
static void start_counting(void) {}
static uint32_t counted(void) { return ESP.getCycleCount(); }
#else
#define COUNTED "microseconds"
static void start_counting(void) {}
static uint32_t counted(void) { return micros(); }
#endif

@core@
void setup() {
  Serial.begin(115200);
  start_counting();
}

void loop() {
  char line[160];
  classify(line, sizeof line);
  Serial.println(line);
  delay(2000);
}
