#include "base/descriptor.h"

#include <unistd.h>

#include <cerrno>
#include <system_error>

namespace retort {

int Descriptor::close() {
  const int result = value_ >= 0 ? ::close(value_) : 0;
  value_ = -1;
  return result;
}

void write_fully(int descriptor, std::span<const uint8_t> bytes) {
  while (!bytes.empty()) {
    const ssize_t written = ::write(descriptor, bytes.data(), bytes.size());
    if (written < 0 && errno == EINTR) continue;
    if (written < 0) throw std::system_error(errno, std::generic_category());
    bytes = bytes.subspan(static_cast<size_t>(written));
  }
}

std::string system_reason(int error) {
  return std::generic_category().message(error);
}

}  // namespace retort
