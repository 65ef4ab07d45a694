// Bytes as text (RFC 4648, section 4), as data: URIs and JSON carry them.
#pragma once

#include <cstdint>
#include <span>
#include <string>
#include <string_view>
#include <vector>

namespace retort {

std::string to_base64(std::span<const uint8_t> bytes);
// Error(Failure) for what to_base64 does not write.
std::vector<uint8_t> from_base64(std::string_view text);

}  // namespace retort
