#include "search/session.h"

#include <algorithm>
#include <numeric>
#include <utility>

#include "base/parallel.h"

namespace retort::search {
Session::Session(const SearchSettings& search_settings, const data::Dataset& data,
                 const RunOptions& run_options)
    : settings(search_settings),
      dataset(data),
      options(run_options),
      workers(options.workers > 0 ? options.workers : available_cores()),
      folder(options.folder, options.storage),
      pipeline(settings.pipeline) {}

Context Session::context(const PipelineSettings& stages, std::stop_token stop) const {
  return {.dataset = dataset,
          .split = split,
          .settings = stages,
          .teacher = teacher.logits ? &*teacher.logits : nullptr,
          .curriculum = curriculum,
          .backend = options.backend,
          .progress = options.progress,
          .stop = std::move(stop)};
}

std::vector<uint32_t> Session::test_indices() const {
  if (!split.test.empty()) return split.test;
  std::vector<uint32_t> all(dataset.test.count());
  std::iota(all.begin(), all.end(), 0U);
  return all;
}

void Session::finish(const TrialResult& result, const std::string& message) {
  const std::lock_guard lock(mutex);
  study.trials.push_back(result);
  std::ranges::sort(study.trials, {}, &TrialResult::number);
  study.top = rank_trials(study.trials, settings.top);
  store_seconds();
  options.progress.message(message);
  announce();
}

Session::Clock::time_point Session::deadline() const {
  if (!settings.seconds) return {};
  const double left = std::max(*settings.seconds - earlier_seconds, 0.0);
  return start_ + std::chrono::duration_cast<Clock::duration>(std::chrono::duration<double>(left));
}

double Session::seconds_left() const {
  return std::chrono::duration<double>(deadline() - Clock::now()).count();
}

void Session::store_seconds() {
  study.seconds = earlier_seconds + std::chrono::duration<double>(Clock::now() - start_).count();
  folder.put_document(kSecondsKey, study.seconds);
}

void Session::tell_time_left(double seconds) const {
  if (options.time_left) options.time_left(seconds);
}

void Session::announce() const {
  if (options.changed) options.changed(study);
}

}  // namespace retort::search
