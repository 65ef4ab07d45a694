// What a search proposed in vain. Private to this room.
#pragma once

#include <cstdint>
#include <set>
#include <string>
#include <vector>

#include "base/json_fwd.h"

namespace retort::search {

// A structure above the limits.
struct Miss {
  std::string config;
  double ratio = 0;  // of what it takes to what is allowed, the largest one
  std::string
      reason;  // every limit that it breaks; empty: it is too slow, or so far above that nobody costed it
};
void to_json(Json& json, const Miss& miss);
void from_json(const Json& json, Miss& miss);

// The structures that were above the limits or too slow, the sampler's own tries too. Each is one however often it is met, so
// that a sampler that begins anew where another was cut off changes nothing.
class Refused {
 public:
  void add(Miss miss);
  [[nodiscard]] int64_t count() const { return static_cast<int64_t>(structures_.size()); }
  // To the limits, the nearest first; ten at most.
  [[nodiscard]] const std::vector<Miss>& nearest() const { return nearest_; }
  // Whether a miss of this ratio would be among them.
  [[nodiscard]] bool is_near(double ratio) const;

  // What is new since this was last asked; take() takes it up, all of them in their order.
  Json news();
  void take(const Json& news);

 private:
  std::set<std::string> structures_;  // the beginnings of the hashes of their texts
  std::vector<std::string> new_;      // of them
  std::vector<Miss> nearest_;
};

}  // namespace retort::search
