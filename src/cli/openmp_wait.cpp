#include "cli/openmp_wait.h"

#include <cstdlib>

#include "cli/restart.h"

namespace retort::cli {
namespace {

// Some microseconds: a thread that is hardly late is still met awake. Measured with the teacher on two cores:
// idle, 910 images/s, as with OpenMP's own 300,000 (sleeping at once: 840); beside one busy program, 390
// instead of 50.
constexpr const char* kSpins = "1000";

}  // namespace

void let_waiting_threads_sleep() {
  if (std::getenv("OMP_WAIT_POLICY") != nullptr || std::getenv("GOMP_SPINCOUNT") != nullptr) return;
  if (setenv("GOMP_SPINCOUNT", kSpins, 1) == 0) start_again();
}

}  // namespace retort::cli
