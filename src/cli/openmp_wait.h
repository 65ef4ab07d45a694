// How OpenMP's threads wait for each other.
#pragma once

namespace retort::cli {

// Lets threads that wait at the end of a parallel loop sleep soon. By default they spin for milliseconds,
// which on a busy machine takes the time that the thread they wait for needs: a network on two threads then
// trains slower than on one. The OpenMP runtime reads its environment before main, so this starts the program
// once more with it set. Does nothing when the user has said how to wait (OMP_WAIT_POLICY, GOMP_SPINCOUNT) or
// when the program cannot be started again.
void let_waiting_threads_sleep();

}  // namespace retort::cli
