// As long as it lives the system gives this process no thread more.
#pragma once

#include <pthread.h>

#include <cstddef>
#include <stdexcept>

namespace retort {

// New threads would have a stack that no machine has the memory for.
class NoMoreThreads {
 public:
  NoMoreThreads() {
    pthread_attr_init(&before_);
    if (pthread_getattr_default_np(&before_) != 0) throw std::runtime_error("no defaults for threads");
    pthread_attr_t huge;
    pthread_attr_init(&huge);
    if (pthread_attr_setstacksize(&huge, size_t{1} << 52U) != 0 || pthread_setattr_default_np(&huge) != 0)
      throw std::runtime_error("no such stack can be asked for");
    pthread_attr_destroy(&huge);
  }
  ~NoMoreThreads() {
    pthread_setattr_default_np(&before_);
    pthread_attr_destroy(&before_);
  }
  NoMoreThreads(const NoMoreThreads&) = delete;
  NoMoreThreads& operator=(const NoMoreThreads&) = delete;

 private:
  pthread_attr_t before_{};
};

}  // namespace retort
