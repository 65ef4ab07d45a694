// Sizes, counts and durations as people write them. All parsers throw Error(Usage) with a sentence that names
// the text and shows a right example.
#pragma once

#include <cstdint>
#include <string>
#include <string_view>

namespace retort {

// "64K", "64KB", "64KiB" = 65,536; "1M" = 1,048,576; "123" = 123 bytes. Binary multiples, as flash is sold.
int64_t parse_bytes(std::string_view text);
// "2M" = 2,000,000; "384K" = 384,000. Decimal multiples, for MACs and counts.
int64_t parse_count(std::string_view text);
// "30m", "8h", "90s", "1h30m", "100ms"; a bare number is seconds. Returns seconds.
double parse_duration(std::string_view text);

std::string format_bytes(int64_t bytes);    // "11.1 KB" (1 KB = 1,024 bytes)
std::string format_count(int64_t count);    // "12.5 M"
std::string format_integer(int64_t value);  // "325,560"
// "1 image", "1,234 images"; of a noun whose plural is not made by an s it has to be given: "1 class", "2 classes".
std::string format_counted(int64_t count, std::string_view noun, std::string_view plural = {});
std::string format_duration(double seconds);  // "1h 02m", "3m 20s", "4.2s"

}  // namespace retort
