// How many candidates may be trained at once, by the memory that they take. Private to this room.
#pragma once

#include <condition_variable>
#include <cstdint>
#include <mutex>
#include <optional>
#include <stop_token>

#include "graph/graph.h"
#include "search/pipeline.h"

namespace retort::search {

// Bytes that a candidate of this structure takes while it goes through the pipeline, beside what all share (data,
// teacher's logits): its plan's activations, gradients and workspace for whole and last batches and for predictions,
// whichever of its float and quantised forms is larger; parameters, gradients, moments, masks; what a checkpoint and the
// best epoch copy; a batch. With room for what is not planned: never less than it will take, by tests.
int64_t candidate_bytes(const graph::Graph& graph, const Context& context);

class MemoryBudget {
 public:
  // `limit` is of the whole process; none: what it has now and kDefaultShare of what is available.
  explicit MemoryBudget(std::optional<int64_t> limit);

  // A share, given back when it goes.
  class Share {
   public:
    // Waits until `bytes` fit beside the other shares and what the process holds beside them. Throws Error(Failure) when
    // they would not fit alone, Error(Interrupted) when stopped.
    Share(MemoryBudget& budget, int64_t bytes, const std::stop_token& stop) : budget_(budget), bytes_(bytes) {
      budget_.take(bytes, stop);
    }
    ~Share() { budget_.give_back(bytes_); }
    Share(const Share&) = delete;
    Share& operator=(const Share&) = delete;

   private:
    MemoryBudget& budget_;
    int64_t bytes_;
  };

  [[nodiscard]] int64_t limit() const { return limit_; }

 private:
  void take(int64_t bytes, const std::stop_token& stop);
  void give_back(int64_t bytes);

  int64_t limit_;
  std::mutex mutex_;
  std::condition_variable_any changed_;
  int64_t shared_ = 0;  // what all share, seen whenever nobody holds a share
  int64_t held_ = 0;
  int holders_ = 0;
};

}  // namespace retort::search
