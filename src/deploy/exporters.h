// One function a kind of package; private to this room.
#pragma once

#include <memory>

#include "deploy/exporter.h"

namespace retort::deploy {

std::unique_ptr<Exporter> make_c_exporter();
std::unique_ptr<Exporter> make_tflm_exporter();
std::unique_ptr<Exporter> make_arduino_exporter();
std::unique_ptr<Exporter> make_esp_idf_exporter();
std::unique_ptr<Exporter> make_zephyr_exporter();
std::unique_ptr<Exporter> make_platformio_exporter();

}  // namespace retort::deploy
