// A core that runs loop() once.
#include "Arduino.h"

extern "C" {
#include "../../qemu/board.h"
}

HardwareSerial Serial;

void HardwareSerial::begin(unsigned long) {}

size_t HardwareSerial::println(const char text[]) {
  print(text);
  print("\n");
  return 0;
}

unsigned long micros(void) {
  return ticks();
}

void delay(unsigned long) {}

int main() {
  setup();
  loop();
  return 0;
}
