#include "search/run_status.h"

#include <unistd.h>

#include <algorithm>
#include <chrono>
#include <exception>
#include <random>
#include <utility>

#include "base/json.h"
#include "search/study_folder.h"

namespace retort::search {
namespace {

// Steady disk writes every so often; who watches waits no longer for news than for this, and of a run that is killed no
// more time is forgotten.
constexpr auto kBeat = std::chrono::seconds(2);
constexpr auto kForgotten = std::chrono::minutes(2);

std::string new_id() {
  std::random_device random;
  return fmt::format("{:08x}{:08x}{:08x}{:08x}", random(), random(), random(), random());
}

double unix_time() {
  return std::chrono::duration<double>(std::chrono::system_clock::now().time_since_epoch()).count();
}

}  // namespace

RunStatus::RunStatus(const RunOptions& options)
    : options_(options), forward_(options.stop, [this] { stop_.request_stop(); }) {}

RunOptions RunStatus::options() {
  return {.folder = options_.folder,
          .storage = options_.storage,
          .lease_seconds = options_.lease_seconds,
          .workers = options_.workers,
          .teacher_threads = options_.teacher_threads,
          .memory_bytes = options_.memory_bytes,
          .command = options_.command,
          .backend = options_.backend,
          .progress = *this,
          .stop = stop_.get_token(),
          .changed = options_.changed,
          .stopped = options_.stopped,
          .time_left = [this](double seconds) {
            {
              const std::lock_guard lock(mutex_);
              end_ = Clock::now() +
                     std::chrono::duration_cast<Clock::duration>(std::chrono::duration<double>(seconds));
            }
            if (options_.time_left) options_.time_left(seconds);
          }};
}

void RunStatus::update(std::string_view task, double done, double total, std::string_view note) {
  options_.progress.update(task, done, total, note);
  const std::lock_guard lock(mutex_);
  const auto found = std::ranges::find(tasks_, task, &Task::name);
  if (total > 0 && done >= total) {
    if (found != tasks_.end()) tasks_.erase(found);
    return;
  }
  Task& entry = found == tasks_.end() ? tasks_.emplace_back(Task{.name = std::string(task)}) : *found;
  entry.done = done;
  entry.total = total;
  entry.note = note;
  entry.updated = Clock::now();
}

void RunStatus::message(std::string_view text) {
  options_.progress.message(text);
}

void RunStatus::trained(int64_t images) {
  options_.progress.trained(images);
}

std::vector<RunStatus::Task> RunStatus::tasks() {
  const std::lock_guard lock(mutex_);
  const Clock::time_point now = Clock::now();
  std::erase_if(tasks_, [&](const Task& task) { return now - task.updated > kForgotten; });
  return tasks_;
}

RunStatus::Publication::Publication(RunStatus& status, study::Storage& storage, std::function<void()> also)
    : status_(status), storage_(storage), also_(std::move(also)), id_(new_id()) {
  publish("running");
  thread_ = std::jthread([this](const std::stop_token& stop) { run(stop); });
}

RunStatus::Publication::~Publication() {
  thread_ = {};  // joins
  publish(end_);
}

void RunStatus::Publication::run(const std::stop_token& stop) {
  std::unique_lock lock(mutex_);
  while (!stop.stop_requested()) {
    ended_.wait_for(lock, stop, kBeat, [] { return false; });
    if (stop.stop_requested()) return;
    follow_requests();
    publish(status_.stop_.stop_requested() ? "stopping" : "running");
  }
}

void RunStatus::Publication::publish(std::string_view state) noexcept {
  try {
    Json tasks = Json::array();
    for (const Task& task : status_.tasks())
      tasks.push_back({{"name", task.name}, {"done", task.done}, {"total", task.total}, {"note", task.note}});
    Json run = {{"id", id_},        {"state", state},    {"host", host_name()},      {"process", getpid()},
                {"beat", ++beats_}, {"at", unix_time()}, {"tasks", std::move(tasks)}};
    {
      const std::lock_guard lock(status_.mutex_);
      if (status_.end_)
        run["seconds_left"] =
            std::max(std::chrono::duration<double>(*status_.end_ - Clock::now()).count(), 0.0);
    }
    storage_.put_document(kRunKey, dump_json(run));
    if (also_) also_();
  } catch (const std::exception&) {
    return;
  }
}

void RunStatus::Publication::follow_requests() noexcept {
  try {
    const auto text = storage_.document(kRequestKey);
    if (text && parse_json(*text).value("stop", std::string()) == id_) status_.stop_.request_stop();
  } catch (const std::exception&) {
    return;
  }
}

}  // namespace retort::search
