#include "report/live/access.h"

#include <arpa/inet.h>

#include <algorithm>
#include <array>
#include <cstdint>
#include <random>
#include <span>
#include <utility>

#include "base/error.h"
#include "base/file.h"

namespace retort::report {
namespace {

constexpr size_t kShortestToken = 16;

std::string sha256(std::string_view text) {
  return sha256_hex({reinterpret_cast<const uint8_t*>(text.data()), text.size()});
}

std::string lower(std::string_view text) {
  std::string out(text);
  std::ranges::transform(out, out.begin(),
                         [](char c) { return c >= 'A' && c <= 'Z' ? static_cast<char>(c - 'A' + 'a') : c; });
  return out;
}

// "example.org:8080", "[::1]:8080" → the name; empty for what is neither.
std::string name_of(std::string_view host) {
  const size_t bracket = host.starts_with('[') ? host.find(']') : std::string_view::npos;
  const size_t colon = host.find(':', bracket == std::string_view::npos ? 0 : bracket);
  const std::string_view port = colon == std::string_view::npos ? std::string_view() : host.substr(colon + 1);
  if (!std::ranges::all_of(port, [](char c) { return c >= '0' && c <= '9'; })) return {};
  std::string_view name = host.substr(0, colon);
  if (bracket != std::string_view::npos) {
    if (bracket + 1 != name.size()) return {};
    name = name.substr(1, bracket - 1);
  }
  return lower(name);
}

// "a=1; b=2" → every value of that name.
std::vector<std::string_view> cookies(std::string_view header, std::string_view name) {
  std::vector<std::string_view> values;
  while (!header.empty()) {
    const size_t end = std::min(header.find(';'), header.size());
    std::string_view pair = header.substr(0, end);
    header.remove_prefix(std::min(end + 1, header.size()));
    while (pair.starts_with(' ')) pair.remove_prefix(1);
    if (pair.size() > name.size() && pair.starts_with(name) && pair[name.size()] == '=')
      values.push_back(pair.substr(name.size() + 1));
  }
  return values;
}

// Cookies know no ports: two servers of one machine must not log each other's readers out.
std::string cookie_name(const std::string& session) {
  return "retort_" + session.substr(0, 8);
}

}  // namespace

bool is_address(const std::string& name) {
  std::array<unsigned char, sizeof(in6_addr)> bytes{};
  return inet_pton(AF_INET, name.c_str(), bytes.data()) == 1 ||
         inet_pton(AF_INET6, name.c_str(), bytes.data()) == 1;
}

bool equal_secrets(std::string_view a, std::string_view b) {
  // Of their hashes, which are equally long and tell nothing.
  const std::string x = sha256(a);
  const std::string y = sha256(b);
  unsigned difference = 0;
  for (size_t i = 0; i < x.size(); ++i)
    difference |= static_cast<unsigned char>(x[i]) ^ static_cast<unsigned char>(y[i]);
  return difference == 0;
}

std::string new_token() {
  std::random_device random;  // the system's own generator
  return fmt::format("{:08x}{:08x}{:08x}{:08x}", random(), random(), random(), random());
}

void check_token(std::string_view token) {
  if (token.size() < kShortestToken)
    throw_usage("the token has {} characters: it needs {} at least, such as {}", token.size(), kShortestToken,
                new_token());
  if (!std::ranges::all_of(token, [](char c) { return c > ' ' && c <= '~'; }))
    throw_usage("the token has characters other than visible ASCII: take one such as {}", new_token());
}

bool is_loopback(std::string_view address) {
  in_addr v4{};
  if (inet_pton(AF_INET, std::string(address).c_str(), &v4) == 1) return (ntohl(v4.s_addr) >> 24U) == 127;
  return address == "::1" || address == "localhost";
}

LiveAccess::LiveAccess(std::vector<std::string> hosts, std::string token)
    : hosts_(std::move(hosts)), token_(std::move(token)) {
  for (std::string& host : hosts_) host = lower(host);
  if (!token_.empty()) session_ = sha256("retort's live page: " + token_);
}

bool LiveAccess::is_for_us(const HttpRequest& request) const {
  const std::string name = name_of(request.header("host").value_or(""));
  return !name.empty() && (is_address(name) || name == "localhost" || name.ends_with(".localhost") ||
                           std::ranges::count(hosts_, name) > 0);
}

bool LiveAccess::is_from_us(const HttpRequest& request) const {
  const std::string site = request.header("sec-fetch-site").value_or("same-origin");
  if (site != "same-origin" && site != "none") return false;
  if (!request.headers.contains("origin")) return true;  // browsers send it with every POST
  const std::string origin = lower(request.header("origin").value_or(""));
  const size_t scheme = origin.find("://");
  if (scheme == std::string::npos) return false;  // "null"
  const std::string host = origin.substr(scheme + 3);
  if (host == lower(request.header("host").value_or(""))) return true;
  // A proxy may call us by another name than its readers call it, at HTTP's own ports; another service of that machine
  // has another port.
  return host.find(':') == std::string::npos && std::ranges::count(hosts_, host) > 0;
}

bool LiveAccess::is_known(const HttpRequest& request) const {
  if (token_.empty()) return true;
  constexpr std::string_view kBearer = "Bearer ";
  const std::string authorization = request.header("authorization").value_or("");
  if (authorization.starts_with(kBearer))
    return is_token(std::string_view(authorization).substr(kBearer.size()));
  const std::string header = request.header("cookie").value_or("");
  return std::ranges::any_of(cookies(header, cookie_name(session_)),
                             [&](std::string_view value) { return equal_secrets(value, session_); });
}

bool LiveAccess::is_token(std::string_view text) const {
  return !token_.empty() && equal_secrets(text, token_);
}

std::string LiveAccess::cookie() const {
  return fmt::format("{}={}; Path=/; HttpOnly; SameSite=Strict", cookie_name(session_), session_);
}

}  // namespace retort::report
