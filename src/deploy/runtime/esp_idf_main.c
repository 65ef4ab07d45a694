/* Classifies one stored image and prints the class and the cycles, over and over. */
#include <stdint.h>
#include <stdio.h>
#include <string.h>

#include "esp_cpu.h"
#include "freertos/FreeRTOS.h"
#include "freertos/task.h"

#include "@name@.h"
@image_include@#include "@name@_self_test.h"

#define COUNTED "cycles"
static uint32_t counted(void) { return esp_cpu_get_cycle_count(); }

@core@
void app_main(void) {
  char line[160];
  for (;;) {
    classify(line, sizeof line);
    printf("%s\n", line);
    vTaskDelay(pdMS_TO_TICKS(2000));
  }
}
