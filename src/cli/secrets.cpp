#include "cli/secrets.h"

#include <cstdlib>
#include <cstring>
#include <new>
#include <string>
#include <string_view>

#include "base/error.h"
#include "study/secrets.h"

namespace retort::cli {
namespace {

// "--storage=postgresql://…" has it behind the sign.
size_t url_in(std::string_view word) {
  size_t start = word.find("postgresql://");
  if (start == std::string_view::npos) start = word.find("postgres://");
  return start == 0 || (start != std::string_view::npos && word[start - 1] == '=') ? start
                                                                                   : std::string_view::npos;
}

}  // namespace

void take_passwords(int argc, char** argv) {
  std::string taken;
  std::string held_back;
  for (int i = 0; i < argc; ++i) {
    const std::string word = argv[i];
    const size_t start = url_in(word);
    if (start == std::string::npos) continue;
    const study::SplitUrl split = study::split_password(std::string_view(word).substr(start));
    if (split.password.empty() && split.held_back.empty()) continue;
    if ((!taken.empty() && !split.password.empty() && taken != split.password) ||
        (!held_back.empty() && !split.held_back.empty() && held_back != split.held_back))
      throw_usage("two URLs of databases have different passwords: leave them to ~/.pgpass");
    if (!split.password.empty()) taken = split.password;
    if (!split.held_back.empty()) held_back = split.held_back;
    // Where the system looks for the process's title.
    std::memset(argv[i] + start, 0, word.size() - start);
    std::memcpy(argv[i] + start, split.url.data(), split.url.size());
  }
  const auto keep = [](const char* variable, const std::string& value) {
    if (!value.empty() && ::setenv(variable, value.c_str(), 1) != 0) throw std::bad_alloc();
  };
  keep("PGPASSWORD", taken);
  keep(study::kHeldBackVariable, held_back);
}

}  // namespace retort::cli
