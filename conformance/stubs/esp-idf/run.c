/* Runs app_main up to its first delay. */
#include "../../qemu/board.h"
#include "esp_cpu.h"
#include "freertos/FreeRTOS.h"
#include "freertos/task.h"

void app_main(void);

esp_cpu_cycle_count_t esp_cpu_get_cycle_count(void) { return ticks() * INSTRUCTIONS_A_TICK; }

void vTaskDelay(const TickType_t ticks) {
  (void)ticks;
  leave(0);
}

int main(void) {
  app_main();
  return 1;
}
