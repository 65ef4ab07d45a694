#include "search/refused.h"

#include <algorithm>
#include <utility>

#include "base/file.h"
#include "base/json.h"

namespace retort::search {
namespace {

constexpr size_t kMostMisses = 10;

// Of a structure's text: so few digits take little room, and hardly ever make one of two.
std::string short_hash(const std::string& config) {
  constexpr size_t kDigits = 12;
  return sha256_hex({reinterpret_cast<const uint8_t*>(config.data()), config.size()}).substr(0, kDigits);
}

}  // namespace

void to_json(Json& json, const Miss& miss) {
  json = {{"config", miss.config}, {"ratio", miss.ratio}, {"reason", miss.reason}};
}
void from_json(const Json& json, Miss& miss) {
  miss = {.config = json.at("config"), .ratio = json.at("ratio"), .reason = json.at("reason")};
}

bool Refused::is_near(double ratio) const {
  return nearest_.size() < kMostMisses || ratio < nearest_.back().ratio;
}

void Refused::add(Miss miss) {
  const auto [structure, is_new] = structures_.insert(short_hash(miss.config));
  if (!is_new) return;
  new_.push_back(*structure);
  if (miss.reason.empty() || !is_near(miss.ratio)) return;
  nearest_.insert(std::ranges::upper_bound(nearest_, miss.ratio, {}, &Miss::ratio), std::move(miss));
  if (nearest_.size() > kMostMisses) nearest_.pop_back();
}

Json Refused::news() {
  return {{"structures", std::exchange(new_, {})}, {"nearest", nearest_}};
}

void Refused::take(const Json& news) {
  for (const Json& structure : news.at("structures")) structures_.insert(structure.get<std::string>());
  nearest_ = news.at("nearest").get<std::vector<Miss>>();
}

}  // namespace retort::search
