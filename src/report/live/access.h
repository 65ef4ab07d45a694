// Who may see and do what on the live page: which names the server answers to, tokens, cookies, requests from other
// sites.
//
// Threats and answers: a page of another site in a browser on this machine (its requests carry its Origin; its own name
// may be made to point here, hence the check of Host), other users of this machine and other machines (the token).
// Nothing here encrypts: beyond the own machine `ssh -L` or a proxy with TLS does.
#pragma once

#include <string>
#include <string_view>
#include <vector>

#include "report/live/http_server.h"

namespace retort::report {

// In a time that does not tell where they differ.
bool equal_secrets(std::string_view a, std::string_view b);
// 128 random bits in hexadecimal.
std::string new_token();
// Error(Usage) for one that could be guessed (shorter than 16 characters) or not be sent (other than visible ASCII).
void check_token(std::string_view token);

// Whether it is an IPv4 or IPv6 address, not a name.
bool is_address(const std::string& text);
// Of an address such as "127.0.0.1", "::1".
bool is_loopback(std::string_view address);

class LiveAccess {
 public:
  // `hosts` are names beside localhost and addresses, such as a proxy's. An empty token: everybody may read.
  LiveAccess(std::vector<std::string> hosts, std::string token);

  // Whether its Host header names this server: an address, localhost or one of the hosts. A browser that was led here
  // under another site's name is refused.
  [[nodiscard]] bool is_for_us(const HttpRequest& request) const;
  // Whether it may change something as far as sites go: it comes from a page of ours, or from no browser.
  [[nodiscard]] bool is_from_us(const HttpRequest& request) const;
  // By `Authorization: Bearer TOKEN` or by the cookie; always where there is no token.
  [[nodiscard]] bool is_known(const HttpRequest& request) const;

  [[nodiscard]] bool is_token(std::string_view text) const;
  // The header that makes a browser known; HttpOnly and of this site alone. `Set-Cookie`'s value.
  [[nodiscard]] std::string cookie() const;

 private:
  std::vector<std::string> hosts_;
  std::string token_;
  std::string session_;  // the cookie's value: follows from the token, so it outlives the server
};

}  // namespace retort::report
