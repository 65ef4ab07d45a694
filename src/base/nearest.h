// What a person may have meant by a name that nothing has.
#pragma once

#include <optional>
#include <string>
#include <string_view>
#include <vector>

namespace retort {

// The candidate that is nearest to `text` by edits (Damerau–Levenshtein), or nothing when none is near.
std::optional<std::string> nearest(std::string_view text, const std::vector<std::string>& candidates);

// "did you mean title?", or "known are …" where none is near: the end of a sentence about an unknown name.
std::string known_names(std::string_view name, const std::vector<std::string>& known);

}  // namespace retort
