// What a step of training must not do once its plan is made: allocate, lock, or call the kernel. Sanitizers have
// hooks of their own in the same places, so the file is empty for them.
#ifndef RETORT_SANITIZED
#include <dlfcn.h>
#include <gtest/gtest.h>
#include <linux/filter.h>
#include <linux/seccomp.h>
#include <pthread.h>
#include <sys/prctl.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

#include <array>
#include <cstddef>
#include <cstdlib>
#include <mutex>
#include <new>
#include <vector>

#include "engine/network.h"
#include "engine/onednn/onednn.h"
#include "graph/quantized_form.h"
#include "graph/random_graph.h"
#include "graph/reference_networks.h"
#include "random_batch.h"

namespace {

// Allocations of the thread that counts, oneDNN's own left out: its calls build argument tables on the heap.
thread_local bool counting = false;
thread_local int allocations = 0;
// Mutexes that the thread took while it counted, oneDNN's included.
thread_local int locks = 0;

void* allocate(std::size_t size, std::size_t alignment) {
  if (counting && retort::engine::onednn::calls_in_progress() == 0) ++allocations;
  void* memory = alignment > 0 ? std::aligned_alloc(alignment, (size + alignment - 1) / alignment * alignment)
                               : std::malloc(size);
  if (memory == nullptr) throw std::bad_alloc();
  return memory;
}

}  // namespace

extern "C" int pthread_mutex_lock(pthread_mutex_t* mutex) noexcept {
  using Lock = int (*)(pthread_mutex_t*);
  static const auto real = reinterpret_cast<Lock>(dlsym(RTLD_NEXT, "pthread_mutex_lock"));
  if (counting) ++locks;
  return real(mutex);
}

void* operator new(std::size_t size) {
  return allocate(size == 0 ? 1 : size, 0);
}
void* operator new(std::size_t size, std::align_val_t alignment) {
  return allocate(size == 0 ? 1 : size, static_cast<std::size_t>(alignment));
}
void operator delete(void* memory) noexcept {
  std::free(memory);
}
void operator delete(void* memory, std::size_t /*size*/) noexcept {
  std::free(memory);
}
void operator delete(void* memory, std::align_val_t /*alignment*/) noexcept {
  std::free(memory);
}
void operator delete(void* memory, std::size_t /*size*/, std::align_val_t /*alignment*/) noexcept {
  std::free(memory);
}

namespace retort::engine {
namespace {

using graph::Graph;

std::unique_ptr<Network> compile(const Graph& graph, Precision precision, int batch_size) {
  auto network =
      backend("cpu").compile(graph, {.batch_size = batch_size, .threads = 1, .precision = precision});
  network->set_parameters(graph::initialize(graph, Rng(3)));
  return network;
}

TEST(CpuPlan, AStepAllocatesAndLocksNothing) {
  Rng rng(5);
  std::vector<Graph> graphs{graph::reference_network("s21_16"), graph::reference_network("ds16"),
                            graph::reference_network("resnet8"),
                            graph::quantized_form(graph::reference_network("ds16"))};
  for (uint64_t seed = 0; seed < 10; ++seed) graphs.push_back(graph::random_graph(rng, {}));
  for (size_t i = 0; i < 2 * graphs.size(); ++i) {
    const Graph& graph = graphs[i / 2];
    const auto network = compile(graph, i % 2 == 0 ? Precision::Float32 : Precision::Bfloat16, 4);
    const RandomBatch full(graph, 4, Rng(1));
    const RandomBatch rest(graph, 3, Rng(2));
    std::vector<float> logits(4 * static_cast<size_t>(graph.classes()));
    const Objective objective{0.3F, 2.0F, 0.1F};
    allocations = 0;
    locks = 0;
    for (int round = 0; round < 3; ++round) {
      counting = round > 0;  // the first round may compile the plans of the smaller batch and of inference
      network->train_step(full.view(), objective, 0.01F, rng);
      network->train_step(rest.view(), objective, 0.01F, rng);
      network->predict(full.images, logits);
      counting = false;
    }
    EXPECT_EQ(allocations, 0);
    EXPECT_EQ(locks, 0);
  }
}

TEST(CpuPlan, AllocationsAndLocksAreCounted) {
  std::mutex mutex;
  allocations = 0;
  locks = 0;
  counting = true;
  mutex.lock();
  mutex.unlock();
  ::operator delete(::operator new(8));
  counting = false;
  EXPECT_EQ(allocations, 1);
  EXPECT_EQ(locks, 1);
}

// Leaves this process the end of itself and waking sleepers: the kernel kills it at any other system call.
// (oneDNN's gradient of weights by Winograd's algorithm has barriers, and on one thread GCC's OpenMP wakes
// nobody at each.) False where the kernel lets no process do that.
bool give_up_system_calls() {
  const auto load = [](size_t offset) {
    return sock_filter(BPF_STMT(BPF_LD | BPF_W | BPF_ABS, static_cast<uint32_t>(offset)));
  };
  const auto unless_skip = [](unsigned value, uint8_t skipped) {
    return sock_filter(BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, value, 0, skipped));
  };
  constexpr unsigned kWakePrivate = 129;  // FUTEX_WAKE | FUTEX_PRIVATE_FLAG
  std::array filter{
      load(offsetof(seccomp_data, nr)),
      unless_skip(SYS_exit, 1),
      sock_filter(BPF_STMT(BPF_RET | BPF_K, SECCOMP_RET_ALLOW)),
      unless_skip(SYS_futex, 3),
      load(offsetof(seccomp_data, args[1])),
      unless_skip(kWakePrivate, 1),
      sock_filter(BPF_STMT(BPF_RET | BPF_K, SECCOMP_RET_ALLOW)),
      sock_filter(BPF_STMT(BPF_RET | BPF_K, SECCOMP_RET_KILL_PROCESS)),
  };
  const sock_fprog program{static_cast<uint16_t>(filter.size()), filter.data()};
  return prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0) == 0 &&
         prctl(PR_SET_SECCOMP, SECCOMP_MODE_FILTER, &program) == 0;
}

TEST(CpuPlan, AStepMakesNoSystemCallButAWakeUpOfNobody) {
  constexpr int kNoSeccomp = 77;
  for (const char* name : {"s21_16", "ds16", "resnet8"}) {
    const Graph graph = graph::reference_network(name);
    for (const Precision precision : {Precision::Float32, Precision::Bfloat16}) {
      const pid_t child = fork();
      ASSERT_GE(child, 0);
      if (child == 0) {
        const auto network = compile(graph, precision, 8);
        const RandomBatch batch(graph, 8, Rng(1));
        Rng rng(2);
        const auto steps = [&] {
          for (int step = 0; step < 5; ++step)
            network->train_step(batch.view(), {0.5F, 2.0F, 0.0F}, 0.01F, rng);
        };
        steps();
        if (!give_up_system_calls()) _exit(kNoSeccomp);
        steps();
        syscall(SYS_exit, 0);
      }
      int status = 0;
      ASSERT_EQ(waitpid(child, &status, 0), child);
      if (WIFEXITED(status) && WEXITSTATUS(status) == kNoSeccomp)
        GTEST_SKIP() << "this kernel lets no process give up its system calls";
      EXPECT_TRUE(WIFEXITED(status) && WEXITSTATUS(status) == 0) << name << ": status " << status;
    }
  }
}

}  // namespace
}  // namespace retort::engine
#endif
