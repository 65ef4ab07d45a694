// Our type of JSON value, for headers that only name it. base/json.h is what makes it complete.
#pragma once

#include <cstdint>
#include <map>
#include <memory>
#include <nlohmann/json_fwd.hpp>
#include <string>
#include <vector>

namespace retort {

template <typename T, typename = void>
struct JsonSerializer;

// nlohmann's, but that whole numbers are whole everywhere: see JsonSerializer in base/json.h. A type of its own, so that a
// program linked with us keeps the library's conversions for its own nlohmann::json.
using Json = nlohmann::basic_json<std::map, std::vector, std::string, bool, std::int64_t, std::uint64_t,
                                  double, std::allocator, JsonSerializer>;
using OrderedJson = nlohmann::basic_json<nlohmann::ordered_map, std::vector, std::string, bool, std::int64_t,
                                         std::uint64_t, double, std::allocator, JsonSerializer>;

}  // namespace retort
