#include "search/leadership.h"

#include <chrono>
#include <exception>
#include <optional>

#include "base/error.h"
#include "search/keep.h"
#include "search/workers.h"

namespace retort::search {

Leadership::Leadership(study::Storage& storage, const std::string& name, double lease_seconds,
                       ProgressSink& progress, const std::stop_token& stop)
    : storage_(storage), lease_seconds_(lease_seconds) {
  std::optional<double> silent;
  while (const auto other = keep([&] { return storage.lead(name, lease_seconds); })) {
    const std::string_view who = study::display_of(other->name);
    if (silent && other->silent_seconds < *silent)
      throw_failure(
          "another search works on this study, on {}: help it with `retort worker`, or give another --study",
          who);
    if (!silent)
      progress.message(
          fmt::format("Another search had this study, on {}, and was heard of {:.0f} s ago: waiting to see "
                      "whether it lives.",
                      who, other->silent_seconds));
    silent = other->silent_seconds;
    wait_a_little(stop);
    if (stop.stop_requested()) throw Error(ErrorCode::Interrupted, "stopped");
  }
  thread_ = std::jthread([this](const std::stop_token& ended) { renew(ended); });
}

Leadership::~Leadership() {
  thread_ = {};  // joins
  try {
    storage_.resign();
  } catch (const std::exception&) {  // its lease ends some time
    return;
  }
}

void Leadership::renew(const std::stop_token& stop) {
  constexpr double kBeatsALease = 4;
  const auto pause = std::chrono::duration<double>(lease_seconds_ / kBeatsALease);
  std::unique_lock lock(mutex_);
  while (!ended_.wait_for(lock, stop, pause, [&] { return stop.stop_requested(); })) {
    if (stop.stop_requested()) return;
    try {
      if (!storage_.renew_lead()) return;  // whoever writes is told
    } catch (const std::exception&) {
      continue;  // those who write will say what is wrong with the storage
    }
  }
}

}  // namespace retort::search
