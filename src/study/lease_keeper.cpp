#include "study/lease_keeper.h"

#include <algorithm>
#include <chrono>
#include <exception>
#include <utility>
#include <vector>

namespace retort::study {
namespace {
constexpr double kBeatsALease = 4;
}

LeaseKeeper::LeaseKeeper(Storage& storage, double lease_seconds)
    : storage_(storage),
      lease_seconds_(lease_seconds),
      thread_([this](const std::stop_token& stop) { beat(stop); }) {}

LeaseKeeper::~LeaseKeeper() = default;

LeaseKeeper::Hold::Hold(LeaseKeeper& keeper, Claim claim, const std::stop_token& stop)
    : keeper_(keeper), claim_(std::move(claim)), forward_(stop, [this] { source_.request_stop(); }) {
  std::unique_lock lock(keeper_.mutex_);
  place_ = keeper_.holds_.insert(keeper_.holds_.end(), this);
  const auto is_earlier = [this](const Hold* hold) {
    return hold->claim_.trial == claim_.trial && hold->claim_.attempt < claim_.attempt;
  };
  for (Hold* hold : keeper_.holds_)
    if (is_earlier(hold)) hold->lose();
  keeper_.gone_.wait(lock, [&] { return std::ranges::none_of(keeper_.holds_, is_earlier); });
}

LeaseKeeper::Hold::~Hold() {
  {
    const std::lock_guard lock(keeper_.mutex_);
    keeper_.holds_.erase(place_);
  }
  keeper_.gone_.notify_all();
}

void LeaseKeeper::Hold::lose() {
  lost_ = true;
  source_.request_stop();
}

void LeaseKeeper::beat(const std::stop_token& stop) {
  const auto pause = std::chrono::duration<double>(lease_seconds_ / kBeatsALease);
  for (;;) {
    std::vector<Claim> claims;
    {
      std::unique_lock lock(mutex_);
      if (ended_.wait_for(lock, stop, pause, [&] { return stop.stop_requested(); }) || stop.stop_requested())
        return;
      for (const Hold* hold : holds_) claims.push_back(hold->claim_);
    }
    if (claims.empty()) continue;
    std::vector<Claim> lost;
    try {
      lost = storage_.heartbeat(claims);
    } catch (const std::exception&) {
      continue;  // those who store results will say what is wrong with the storage, or that memory is short
    }
    const std::lock_guard lock(mutex_);
    for (Hold* hold : holds_)
      if (std::ranges::find(lost, hold->claim_) != lost.end()) hold->lose();
  }
}

}  // namespace retort::study
