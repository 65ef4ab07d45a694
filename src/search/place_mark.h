// What this user's programs wrote themselves, told from what a stranger's folder says.
#pragma once

#include <string>
#include <string_view>

namespace retort::search {

// A digest of `text` under a key of this user's, which is drawn once and kept in cache_directory(), for their eyes alone:
// nobody else can make one (HMAC-SHA-256). Where the key is lost, or cannot be kept, marks of before are
// no longer known. The first makes the key, the second does not.
std::string mark_of(std::string_view text);
bool has_mark(std::string_view text, std::string_view mark);

}  // namespace retort::search
