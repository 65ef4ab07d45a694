#include "search_call.h"

#include <nanobind/stl/string.h>

#include <algorithm>
#include <chrono>
#include <condition_variable>
#include <exception>
#include <mutex>
#include <optional>
#include <string>
#include <thread>
#include <utility>
#include <vector>

#include "base/json.h"
#include "cli/search_watch.h"

namespace nb = nanobind;

namespace retort::python {
namespace {

constexpr std::chrono::milliseconds kBetweenLooks{100};

// Keeps what a search says until Python asks for it.
class Listener final : public ProgressSink {
 public:
  explicit Listener(const search::SearchSettings& settings) : watch_(settings) {}

  void update(std::string_view task, double done, double total, std::string_view note) override {
    if (watch_.update(task, done, total)) return;
    const std::lock_guard lock(mutex_);
    const auto found = std::ranges::find(tasks_, task, &Task::name);
    if (total > 0 && done >= total) {
      if (found != tasks_.end()) tasks_.erase(found);
      return;
    }
    Task& entry = found == tasks_.end() ? tasks_.emplace_back() : *found;
    entry = {std::string(task), done, total, std::string(note)};
  }
  void message(std::string_view text) override {
    const std::lock_guard lock(mutex_);
    messages_.emplace_back(text);
  }
  void trained(int64_t images) override { watch_.trained(images); }

  cli::SearchWatch& watch() { return watch_; }

  // Takes the messages.
  std::string take() {
    const cli::SearchStatus status = watch_.status();
    Json out = {{"phase", nullptr},
                {"phases", Json::array()},
                {"complete", status.complete},
                {"skipped", status.skipped},
                {"infeasible", status.infeasible},
                {"failed", status.failed},
                {"best", nullptr},
                {"images_per_second", status.images_per_second},
                {"seconds_left", status.seconds_left ? Json(*status.seconds_left) : Json()},
                {"tasks", Json::array()}};
    for (const cli::PhaseStatus& phase : status.phases) {
      out["phases"].push_back({phase.name, phase.figures});
      if (phase.phase == status.now) out["phase"] = phase.name;
    }
    if (status.best)
      out["best"] = {{"accuracy_int8", status.best->accuracy},
                     {"flash_bytes", status.best->flash_bytes},
                     {"ram_bytes", status.best->ram_bytes},
                     {"config", status.best->config}};
    const std::lock_guard lock(mutex_);
    for (const Task& task : tasks_)
      out["tasks"].push_back(
          {{"name", task.name}, {"done", task.done}, {"total", task.total}, {"note", task.note}});
    out["messages"] = std::exchange(messages_, {});
    return dump_json(out);
  }

 private:
  struct Task {
    std::string name;
    double done = 0;
    double total = 0;
    std::string note;
  };

  cli::SearchWatch watch_;
  std::mutex mutex_;
  std::vector<Task> tasks_;
  std::vector<std::string> messages_;
};

}  // namespace

search::StudyResult search_and_wait(const cli::SearchCommand& command, const data::Dataset& dataset,
                                    nb::object progress) {
  Listener listener(command.settings);
  std::stop_source stop;
  std::mutex mutex;
  std::condition_variable ended;
  bool done = false;
  std::optional<search::StudyResult> study;
  std::exception_ptr failure;
  std::exception_ptr interruption;  // Python's: touched with its lock alone

  std::jthread search([&] {
    try {
      study = cli::run_search(
          command, dataset,
          {.progress = listener,
           .stop = stop.get_token(),
           .changed = [&](const search::StudyResult& found) { listener.watch().changed(found); },
           .time_left = [&](double seconds) { listener.watch().set_seconds_left(seconds); }});
    } catch (...) {
      failure = std::current_exception();
    }
    const std::lock_guard lock(mutex);
    done = true;
    ended.notify_all();
  });

  const auto look = [&](bool last) {
    try {
      if (PyErr_CheckSignals() != 0) throw nb::python_error();
      if (!interruption && !progress.is_none()) progress(listener.take(), last);
    } catch (...) {
      // The first one is thrown on when the search has stored what it has; a second Ctrl-C changes nothing.
      if (!interruption) interruption = std::current_exception();
      stop.request_stop();
    }
  };
  {
    const nb::gil_scoped_release without_lock;
    std::unique_lock lock(mutex);
    while (!ended.wait_for(lock, kBetweenLooks, [&] { return done; })) {
      lock.unlock();
      {
        const nb::gil_scoped_acquire with_lock;
        look(false);
      }
      lock.lock();
    }
    lock.unlock();
    search.join();
  }
  look(true);
  if (interruption) std::rethrow_exception(interruption);
  if (failure) std::rethrow_exception(failure);
  return std::move(*study);
}

}  // namespace retort::python
