// An input that is edits of sound documents: which values of their JSON become what.
#pragma once

#include <algorithm>
#include <array>
#include <cstdint>
#include <string>

#include "base/json.h"
#include "target.h"

namespace retort::fuzz {

inline constexpr const char* kCanary = "<canary onload=1>'\"&";

// The next bytes of an input as what is asked for; zero where it has ended.
class Source {
 public:
  explicit Source(Bytes bytes) : bytes_(bytes) {}
  [[nodiscard]] bool ended() const { return bytes_.empty(); }
  uint8_t byte() {
    if (bytes_.empty()) return 0;
    const uint8_t value = bytes_[0];
    bytes_ = bytes_.subspan(1);
    return value;
  }
  size_t below(size_t bound) {
    const size_t low = byte();
    return (low | static_cast<size_t>(byte()) << 8U) % bound;
  }
  std::string text() {
    const size_t length = std::min<size_t>(byte(), bytes_.size());
    const std::string value(as_text(bytes_.first(length)));
    bytes_ = bytes_.subspan(length);
    return value;
  }

 private:
  Bytes bytes_;
};

// Of all kinds; discarded where the input says what is no JSON.
inline Json awkward(Source& source) {
  static const std::array<Json, 22> values = {Json(),
                                              -1,
                                              0,
                                              1,
                                              2,
                                              1000,
                                              INT32_MAX,
                                              int64_t{INT32_MAX} + 1,
                                              INT32_MIN,
                                              INT64_MAX,
                                              INT64_MIN,
                                              UINT64_MAX,
                                              1e300,
                                              -1e300,
                                              1e-300,
                                              0.5,
                                              "",
                                              kCanary,
                                              Json::array(),
                                              Json::object(),
                                              true,
                                              Json::array({Json::array({1e300})})};
  const size_t choice = source.byte() % (values.size() + 2);
  if (choice < values.size()) return values[choice];
  if (choice == values.size()) return source.text();
  return Json::parse(source.text(), nullptr, false, true);
}

// Counts the values within, itself included, and gives the one of that number.
inline Json* value_of(Json& within, size_t& number) {
  if (number-- == 0) return &within;
  if (within.is_structured())
    for (Json& part : within)
      if (Json* found = value_of(part, number)) return found;
  return nullptr;
}

// Puts an awkward value in place of one within.
inline void edit(Json& whole, Source& source) {
  size_t number = source.below(1024);
  Json* place = value_of(whole, number);
  if (place == nullptr) place = &whole;
  const Json value = awkward(source);
  if (value.is_discarded())
    *place = nullptr;
  else
    *place = value;
}

// The same of a text; one that is no JSON stays.
inline std::string edited(const std::string& text, Source& source) {
  Json whole = Json::parse(text, nullptr, false);
  if (whole.is_discarded()) return text;
  edit(whole, source);
  return dump_json(whole);
}

}  // namespace retort::fuzz
