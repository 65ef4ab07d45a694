// Keeps a process's leases alive: one thread that beats for all its trials.
#pragma once

#include <atomic>
#include <condition_variable>
#include <functional>
#include <list>
#include <mutex>
#include <stop_token>
#include <thread>

#include "study/storage.h"

namespace retort::study {

class LeaseKeeper {
 public:
  // `storage` must outlive it.
  LeaseKeeper(Storage& storage, double lease_seconds);
  ~LeaseKeeper();
  LeaseKeeper(const LeaseKeeper&) = delete;
  LeaseKeeper& operator=(const LeaseKeeper&) = delete;

  // A claim that is kept while this lives.
  class Hold {
   public:
    // stop() follows `stop` too. An earlier claim of the same trial may be held here still: its lease ended
    // unnoticed (this process was stopped, or the computer asleep). It is lost now, and this returns when it is
    // gone: both would work on the same files.
    Hold(LeaseKeeper& keeper, Claim claim, const std::stop_token& stop);
    ~Hold();
    Hold(const Hold&) = delete;
    Hold& operator=(const Hold&) = delete;

    [[nodiscard]] const Claim& claim() const { return claim_; }
    // Requested when the lease is lost: what is computed for it is of no use.
    [[nodiscard]] std::stop_token stop() const { return source_.get_token(); }
    [[nodiscard]] bool lost() const { return lost_; }

   private:
    friend class LeaseKeeper;
    void lose();

    LeaseKeeper& keeper_;
    Claim claim_;
    std::stop_source source_;
    std::stop_callback<std::function<void()>> forward_;
    std::atomic<bool> lost_ = false;
    std::list<Hold*>::iterator place_;
  };

 private:
  void beat(const std::stop_token& stop);

  Storage& storage_;
  double lease_seconds_;
  std::mutex mutex_;
  std::condition_variable_any ended_;
  std::condition_variable gone_;  // a hold
  std::list<Hold*> holds_;
  std::jthread thread_;  // last: it uses the rest
};

}  // namespace retort::study
