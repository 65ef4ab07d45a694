// What the tests of servers share: bytes as they go over the wire, for what a client library would not send.
#pragma once

#include <arpa/inet.h>
#include <netinet/in.h>
#include <poll.h>
#include <sys/socket.h>
#include <unistd.h>

#include <array>
#include <cerrno>
#include <functional>
#include <stdexcept>
#include <string>
#include <string_view>
#include <thread>

namespace retort::report {

// A connection to this machine's port.
class Wire {
 public:
  explicit Wire(int port) : socket_(::socket(AF_INET, SOCK_STREAM, 0)) {
    sockaddr_in address{};
    address.sin_family = AF_INET;
    address.sin_port = htons(static_cast<uint16_t>(port));
    address.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
    if (::connect(socket_, reinterpret_cast<const sockaddr*>(&address), sizeof address) != 0)
      throw std::runtime_error("no connection");
  }
  ~Wire() { ::close(socket_); }
  Wire(const Wire&) = delete;
  Wire& operator=(const Wire&) = delete;

  // False when the other side has closed.
  bool send(std::string_view text) const {
    return ::send(socket_, text.data(), text.size(), MSG_NOSIGNAL) == static_cast<ssize_t>(text.size());
  }
  // All that comes until the other side closes, or until it holds `until`; minutes are waited at most.
  std::string read(std::string_view until = "\n(never)\n") {
    constexpr int kMinutes = 5 * 60'000;
    while (text_.find(until) == std::string::npos) {
      pollfd entry{.fd = socket_, .events = POLLIN, .revents = 0};
      const int ready = ::poll(&entry, 1, kMinutes);
      if (ready < 0 && errno == EINTR) continue;
      if (ready <= 0) throw std::runtime_error("nothing came");
      std::array<char, 4096> bytes{};
      const ssize_t got = ::recv(socket_, bytes.data(), bytes.size(), 0);
      if (got <= 0) break;
      text_.append(bytes.data(), static_cast<size_t>(got));
    }
    return text_;
  }
  // Says that nothing more is asked, and gives all that comes until the other side closes.
  std::string finish() {
    ::shutdown(socket_, SHUT_WR);
    return read();
  }

 private:
  int socket_;
  std::string text_;
};

// Runs a server until it is destroyed.
template <typename Server>
class Running {
 public:
  explicit Running(Server& server) : thread_([&server](const std::stop_token& stop) { server.run(stop); }) {}

 private:
  std::jthread thread_;
};

}  // namespace retort::report
