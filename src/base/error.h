// The one exception type of the library. The program turns its code into the exit status.
#pragma once

#include <fmt/format.h>

#include <stdexcept>
#include <string>
#include <utility>

namespace retort {

enum class ErrorCode : int {
  Failure = 1,        // something failed that the user did not get wrong in the command itself
  Usage = 2,          // wrong options, wrong input files
  Infeasible = 3,     // nothing fits the limits that were asked for
  Interrupted = 130,  // stopped by the user; everything finished is stored
};

// what() is one sentence: what is wrong, where (file, line, value), what would be right.
class Error : public std::runtime_error {
 public:
  Error(ErrorCode code, const std::string& message) : std::runtime_error(message), code_(code) {}
  [[nodiscard]] ErrorCode code() const noexcept { return code_; }

 private:
  ErrorCode code_;
};

// throw_usage("{}: {} labels for {} images", path, labels, images) and its sibling format and throw.
template <typename... Args>
[[noreturn]] void throw_usage(fmt::format_string<Args...> format, Args&&... args) {
  throw Error(ErrorCode::Usage, fmt::format(format, std::forward<Args>(args)...));
}
template <typename... Args>
[[noreturn]] void throw_failure(fmt::format_string<Args...> format, Args&&... args) {
  throw Error(ErrorCode::Failure, fmt::format(format, std::forward<Args>(args)...));
}

}  // namespace retort
