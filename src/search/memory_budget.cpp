#include "search/memory_budget.h"

#include <malloc.h>

#include <algorithm>
#include <chrono>
#include <limits>

#include "base/error.h"
#include "base/memory.h"
#include "base/units.h"
#include "compress/widening.h"
#include "engine/spare_memory.h"
#include "graph/parameters.h"
#include "graph/quantized_form.h"

namespace retort::search {
namespace {

// Of the memory that is available as a search begins; the rest is for others and for what grows.
constexpr double kDefaultShare = 0.8;
// Code that oneDNN makes, a thread's stack and heap, files on their way: what no plan knows.
constexpr int64_t kUnplannedBytes = 40LL << 20;
// Copies of the parameters beside the network's own: the candidate's, the best epoch's, a checkpoint's four, and what
// writing that takes twice over.
constexpr int64_t kParameterCopies = 18;
// Images that are predicted at a time (engine/trainer.cpp).
constexpr int64_t kPredictedImages = 512;

int64_t bytes_of_copies(const graph::Graph& graph) {
  return kParameterCopies * graph::parameter_count(graph) * static_cast<int64_t>(sizeof(float));
}

bool quantises(const PipelineSettings& settings) {
  return std::ranges::find(settings.stages, "quantize") != settings.stages.end();
}

}  // namespace

int last_batch(size_t images, int batch) {
  return static_cast<int>(images % std::clamp<size_t>(images, 1, static_cast<size_t>(batch)));
}

int64_t training_bytes(const graph::Graph& graph, const engine::CompileOptions& options, int last_batch,
                       const engine::Backend& backend) {
  return backend.memory_bytes(graph, options, last_batch) + bytes_of_copies(graph) +
         graph.input_shape().size() * (options.batch_size + kPredictedImages) + kUnplannedBytes;
}

int64_t candidate_bytes(const graph::Graph& graph, const Context& context) {
  const PipelineSettings& settings = context.settings;
  // Ranges are measured by a network for batches of the size that nobody chose (compress/quantization.cpp).
  const engine::CompileOptions options{
      .batch_size = std::max(settings.batch_size, engine::CompileOptions{}.batch_size),
      .threads = context.threads,
      .precision = settings.precision,
      .optimizer = settings.optimizer};
  const auto bytes = [&](const graph::Graph& form) {
    return training_bytes(form, options, last_batch(context.split.train.size(), settings.batch_size),
                          context.backend);
  };
  const bool narrows = std::ranges::find(settings.stages, "channels") != settings.stages.end();
  const graph::Graph trained = narrows ? compress::widened(graph, settings.wider) : graph;
  if (const int64_t copies = bytes_of_copies(trained);
      context.memory != nullptr && copies > context.memory->limit())
    throw NoRoom(fmt::format(
        "training it takes more than {} of memory for its weights alone, and this process may have {}: allow "
        "more (--memory)",
        format_bytes(copies), format_bytes(context.memory->limit())));
  const int64_t as_floats = bytes(trained);
  if (!quantises(settings)) return as_floats;
  const int64_t quantised = bytes(graph::quantized_form(graph));
  // What the stages before have left for those that come, in blocks that may not serve them.
  return std::max(as_floats, quantised) +
         std::min(std::min(as_floats, quantised) - kUnplannedBytes, engine::kMostSpareBytes);
}

MemoryBudget::MemoryBudget(std::optional<int64_t> limit)
    : limit_(limit.value_or(std::numeric_limits<int64_t>::max())),
      shared_(resident_memory()),
      least_shared_(shared_) {
  if (!limit) limit_ = shared_ + static_cast<int64_t>(kDefaultShare * static_cast<double>(memory_left()));
}

int64_t MemoryBudget::left() const {
  engine::release_spare_memory();
  malloc_trim(0);  // what earlier networks left with the allocator
  return std::max<int64_t>(0, limit_ - resident_memory());
}

// In the line of those that wait, with the budget's mutex held.
class MemoryBudget::Turn {
 public:
  explicit Turn(MemoryBudget& budget) : budget_(budget), ticket_(budget.next_ticket_++) {
    budget_.waiting_.insert(ticket_);
  }
  ~Turn() {
    budget_.waiting_.erase(ticket_);
    budget_.changed_.notify_all();
  }
  Turn(const Turn&) = delete;
  Turn& operator=(const Turn&) = delete;
  [[nodiscard]] bool has_come() const { return *budget_.waiting_.begin() == ticket_; }

 private:
  MemoryBudget& budget_;
  uint64_t ticket_;
};

void MemoryBudget::take(int64_t bytes, const std::stop_token& stop, std::string_view batch_option) {
  std::unique_lock lock(mutex_);
  const auto refuse_beyond = [&](int64_t shared) {
    if (shared + bytes > limit_)
      throw NoRoom(fmt::format(
          "training it takes about {} of memory, and of the {} that this process may have {} are left: allow "
          "more (--memory) or train on smaller batches ({})",
          format_bytes(bytes), format_bytes(limit_), format_bytes(std::max<int64_t>(0, limit_ - shared)),
          batch_option));
  };
  // Nobody waits for what will never be there. (Without holders what all share is seen anew, below.)
  if (holders_ > 0) refuse_beyond(least_shared_);
  const Turn turn(*this);
  const auto fits = [&] {
    if (!turn.has_come()) return false;
    if (holders_ == 0) return true;
    // What was predicted, and what is seen: the others, and other programs, may take more than they should.
    return shared_ + held_ + bytes <= limit_ && resident_memory() + bytes <= limit_ &&
           bytes <= static_cast<int64_t>(memory_left());
  };
  if (!fits() || shared_ + bytes > limit_) engine::release_spare_memory();
  while (!fits()) {
    // What is resident changes without a word.
    changed_.wait_for(lock, stop, std::chrono::milliseconds(200), [] { return false; });
    if (stop.stop_requested()) throw Error(ErrorCode::Interrupted, "stopped");
  }
  if (holders_ == 0) {
    shared_ = resident_memory();
    if (shared_ + bytes > limit_) {
      malloc_trim(0);  // what earlier candidates left with the allocator
      shared_ = resident_memory();
    }
    least_shared_ = std::min(least_shared_, shared_);
    refuse_beyond(shared_);
  }
  held_ += bytes;
  ++holders_;
}

void MemoryBudget::give_back(int64_t bytes) {
  {
    const std::lock_guard lock(mutex_);
    held_ -= bytes;
    --holders_;
  }
  changed_.notify_all();
}

}  // namespace retort::search
