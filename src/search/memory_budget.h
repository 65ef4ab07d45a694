// How many networks may be trained at once, by the memory that they take. Private to this room.
#pragma once

#include <condition_variable>
#include <cstdint>
#include <mutex>
#include <optional>
#include <set>
#include <stop_token>
#include <string>
#include <string_view>

#include "base/error.h"
#include "graph/graph.h"
#include "search/pipeline.h"

namespace retort::search {

// Images in an epoch's last batch; 0 when all are full.
int last_batch(size_t images, int batch);

// Bytes that training this network takes beside the images: its plan's activations, gradients and workspace for whole and last
// batches and for predictions; parameters, gradients, moments; what a checkpoint and the best epoch copy; a batch. With room
// for what is not planned: never less than it will take, by tests.
int64_t training_bytes(const graph::Graph& graph, const engine::CompileOptions& options, int last_batch,
                       const engine::Backend& backend);

// Bytes that a candidate of this structure takes while it goes through the pipeline, beside what all share (data,
// teacher's logits): training_bytes() of its float form (the wide one, where channels are removed from it) or its
// quantised form, whichever are more, and what one leaves with the allocator for the other. Throws NoRoom where the copies
// of its weights alone are beyond the context's memory: planning a network takes several times its weights by itself.
int64_t candidate_bytes(const graph::Graph& graph, const Context& context);

// A network that this process cannot have, however long it waits.
class NoRoom : public Error {
 public:
  explicit NoRoom(const std::string& message) : Error(ErrorCode::Failure, message) {}
};

class MemoryBudget {
 public:
  // `limit` is of the whole process; none: what it has now and kDefaultShare of what is available.
  explicit MemoryBudget(std::optional<int64_t> limit);

  // A share, given back when it goes.
  class Share {
   public:
    // Waits until `bytes` fit beside the other shares, what the process holds beside them and what other programs leave, and
    // behind those that wait already: a large one has its turn. Throws NoRoom when they would not fit alone, with the option
    // that makes batches smaller; Error(Interrupted) when stopped.
    Share(MemoryBudget& budget, int64_t bytes, const std::stop_token& stop,
          std::string_view batch_option = "--batch")
        : budget_(budget), bytes_(bytes) {
      budget_.take(bytes, stop, batch_option);
    }
    ~Share() { budget_.give_back(bytes_); }
    Share(const Share&) = delete;
    Share& operator=(const Share&) = delete;

   private:
    MemoryBudget& budget_;
    int64_t bytes_;
  };

  [[nodiscard]] int64_t limit() const { return limit_; }
  // Of the limit, beside what is resident once what was freed is given back.
  [[nodiscard]] int64_t left() const;

 private:
  class Turn;
  void take(int64_t bytes, const std::stop_token& stop, std::string_view batch_option);
  void give_back(int64_t bytes);

  int64_t limit_;
  std::mutex mutex_;
  std::condition_variable_any changed_;
  int64_t shared_ = 0;          // what all share, seen whenever nobody holds a share
  int64_t least_shared_ = 0;    // the least of it so far
  std::set<uint64_t> waiting_;  // their tickets
  uint64_t next_ticket_ = 0;
  int64_t held_ = 0;
  int holders_ = 0;
};

}  // namespace retort::search
