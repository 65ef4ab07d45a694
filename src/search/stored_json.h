// What a study holds, read, whoever wrote it there. Private to this room.
#pragma once

#include <string_view>

#include "base/error.h"
#include "base/json.h"

namespace retort::search {

// What `read` returns; what it finds that is no JSON, or not the JSON that it needs, becomes Error(Failure) "the study's `what`
// is damaged: …".
template <typename Read>
auto read_stored(std::string_view what, const Read& read) {
  try {
    return read();
  } catch (const Json::exception& error) {
    throw_failure("the study's {} is damaged: {}", what, error.what());
  }
}

}  // namespace retort::search
