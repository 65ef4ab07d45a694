// What a training command keeps beside --out while it runs: the same command, given again after a stop, goes
// on from its last checkpoint to the numbers of a run on as many threads that was never cut.
#pragma once

#include <filesystem>
#include <memory>
#include <span>
#include <string>

#include "base/error.h"
#include "base/file.h"
#include "base/json.h"
#include "base/progress.h"
#include "data/dataset.h"
#include "graph/graph.h"

namespace retort::cli {

// The folder OUT.unfinished. It goes when the work is done, or when nothing in it is worth going on from.
class Unfinished {
 public:
  // `identity`: everything that decides the result. Says so when there is work to go on with. Throws
  // Error(Usage) when that work has another identity: nobody's epochs are thrown away over a slip in a
  // command. Throws Error(Failure) while another command works for the same `out`.
  Unfinished(const std::filesystem::path& out, const Json& identity, ProgressSink& progress);
  ~Unfinished();
  Unfinished(const Unfinished&) = delete;
  Unfinished& operator=(const Unfinished&) = delete;

  [[nodiscard]] const std::filesystem::path& folder() const { return folder_; }
  // The result is stored: the folder goes.
  void finish();
  // Throws the error on; an interruption with how to go on, where something was kept. What diverged is not gone on with: the
  // folder goes.
  [[noreturn]] void rethrow(const Error& error);

 private:
  [[nodiscard]] bool holds_work() const;

  std::filesystem::path folder_;
  std::unique_ptr<FileLock> lock_;
};

// Pieces of an identity.
Json identity_of(const data::SplitOptions& split);
std::string identity_of(const graph::Graph& graph);
std::string identity_of(std::span<const float> values);

}  // namespace retort::cli
