#include "study/secrets.h"

#include <algorithm>
#include <vector>

namespace retort::study {
namespace {

constexpr std::string_view kHidden = "***";

int digit(char c) {
  if (c >= '0' && c <= '9') return c - '0';
  if (c >= 'a' && c <= 'f') return c - 'a' + 10;
  if (c >= 'A' && c <= 'F') return c - 'A' + 10;
  return -1;
}

// %41 is A.
std::string decode(std::string_view text) {
  std::string out;
  for (size_t i = 0; i < text.size(); ++i) {
    if (text[i] == '%' && i + 2 < text.size() && digit(text[i + 1]) >= 0 && digit(text[i + 2]) >= 0) {
      out += static_cast<char>(digit(text[i + 1]) * 16 + digit(text[i + 2]));
      i += 2;
    } else {
      out += text[i];
    }
  }
  return out;
}

// "a=1&b=2" in pieces.
std::vector<std::string_view> pieces(std::string_view query) {
  std::vector<std::string_view> out;
  while (true) {
    const size_t end = std::min(query.find('&'), query.size());
    out.push_back(query.substr(0, end));
    if (end == query.size()) return out;
    query.remove_prefix(end + 1);
  }
}

std::string name_of(std::string_view piece) {
  return decode(piece.substr(0, piece.find('=')));
}

// One URL, behind its "://".
std::string hide_behind_scheme(std::string_view url) {
  std::string out;
  const size_t query = std::min(url.find('?'), url.size());
  // A password with a bare "?" in it: nothing of it may be taken for a query.
  const bool split = url.substr(query).find('@') != std::string_view::npos;
  const std::string_view before = split ? url : url.substr(0, query);
  const size_t at = before.rfind('@');
  const size_t colon = before.find(':');
  if (at != std::string_view::npos && colon < at) {
    out += before.substr(0, colon + 1);
    out += kHidden;
    out += before.substr(at);
  } else {
    out += before;
  }
  if (split) {
    const size_t rest = out.find('?', out.rfind('@'));
    if (rest == std::string::npos) return out;
    const std::string tail = out.substr(rest);
    out.resize(rest);
    return out + hide_behind_scheme(tail);
  }
  if (query == url.size()) return out;
  char separator = '?';
  for (const std::string_view piece : pieces(url.substr(query + 1))) {
    out += separator;
    separator = '&';
    const std::string name = name_of(piece);
    const size_t equals = piece.find('=');
    if (equals != std::string_view::npos && (name == "password" || name == "sslpassword")) {
      out += piece.substr(0, equals + 1);
      out += kHidden;
    } else {
      out += piece;
    }
  }
  return out;
}

}  // namespace

std::string hide_passwords(std::string_view text) {
  std::string out;
  while (true) {
    const size_t scheme = text.find("://");
    if (scheme == std::string_view::npos) return out.append(text);
    out += text.substr(0, scheme + 3);
    text.remove_prefix(scheme + 3);
    const size_t end = std::min(text.find_first_of(" \t\r\n'\"`<>"), text.size());
    out += hide_behind_scheme(text.substr(0, end));
    text.remove_prefix(end);
  }
}

bool has_bare_slash_in_password(std::string_view url) {
  const size_t scheme = url.find("://");
  if (scheme == std::string_view::npos) return false;
  url.remove_prefix(scheme + 3);
  const size_t slash = url.find('/');
  if (slash == std::string_view::npos || url.starts_with('[')) return false;
  const std::string_view authority = url.substr(0, slash);
  const size_t colon = authority.find(':');
  const bool has_at_behind = url.substr(slash, url.find('?') - slash).find('@') != std::string_view::npos;
  return authority.find('@') == std::string_view::npos && colon != std::string_view::npos && has_at_behind &&
         authority.find_first_not_of("0123456789,:", colon) != std::string_view::npos;
}

SplitUrl split_password(std::string_view url) {
  SplitUrl out{.url = std::string(url), .password = {}};
  size_t start = 0;
  for (const std::string_view scheme : {"postgresql://", "postgres://"})
    if (url.starts_with(scheme)) start = scheme.size();
  if (start == 0) return out;
  // As libpq reads it: user[:password]@ when there is an @ before the first slash.
  std::string kept(url.substr(0, start));
  url.remove_prefix(start);
  const size_t at = url.find('@');
  if (at < url.find('/')) {
    const size_t colon = std::min(url.find(':'), at);
    if (colon < at) out.password = decode(url.substr(colon + 1, at - colon - 1));
    kept += url.substr(0, colon);
    url.remove_prefix(at);
  }
  const size_t query = std::min(url.find('?'), url.size());
  kept += url.substr(0, query);
  if (query < url.size()) {
    char separator = '?';
    for (const std::string_view piece : pieces(url.substr(query + 1))) {
      const size_t equals = piece.find('=');
      if (equals != std::string_view::npos && name_of(piece) == "password") {
        out.password = decode(piece.substr(equals + 1));
        continue;
      }
      kept += separator;
      kept += piece;
      separator = '&';
    }
  }
  out.url = std::move(kept);
  return out;
}

}  // namespace retort::study
