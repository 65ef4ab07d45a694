#include "study/secrets.h"

#include <algorithm>
#include <array>
#include <cstdlib>
#include <vector>

#include "base/error.h"

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

// libpq's, of all its versions. Another name may be a new secret's, or the password's, mistyped.
bool is_harmless(std::string_view name) {
  constexpr auto kNames = std::to_array<std::string_view>({"application_name",
                                                           "channel_binding",
                                                           "client_encoding",
                                                           "connect_timeout",
                                                           "dbname",
                                                           "fallback_application_name",
                                                           "gssdelegation",
                                                           "gssencmode",
                                                           "gsslib",
                                                           "host",
                                                           "hostaddr",
                                                           "keepalives",
                                                           "keepalives_count",
                                                           "keepalives_idle",
                                                           "keepalives_interval",
                                                           "krbsrvname",
                                                           "load_balance_hosts",
                                                           "max_protocol_version",
                                                           "min_protocol_version",
                                                           "options",
                                                           "passfile",
                                                           "port",
                                                           "replication",
                                                           "require_auth",
                                                           "requirepeer",
                                                           "requiressl",
                                                           "service",
                                                           "servicefile",
                                                           "ssl",
                                                           "ssl_max_protocol_version",
                                                           "ssl_min_protocol_version",
                                                           "sslcert",
                                                           "sslcertmode",
                                                           "sslcompression",
                                                           "sslcrl",
                                                           "sslcrldir",
                                                           "sslkey",
                                                           "sslmode",
                                                           "sslnegotiation",
                                                           "sslrootcert",
                                                           "sslsni",
                                                           "tcp_user_timeout",
                                                           "target_session_attrs",
                                                           "user"});
  return std::ranges::find(kNames, name) != kNames.end();
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
    const size_t equals = piece.find('=');
    if (equals != std::string_view::npos && is_harmless(name_of(piece))) {
      out += piece;
      continue;
    }
    // Without a "=" it may be the rest of a password that has a bare "&".
    if (equals != std::string_view::npos) out += piece.substr(0, equals + 1);
    out += kHidden;
  }
  return out;
}

constexpr std::string_view kEndsUrl = " \t\r\n'\"`<>";

std::string_view behind_scheme(std::string_view url) {
  return url.substr(url.find("://") + 3);
}

bool is_number(std::string_view text) {
  return text.find_first_not_of("0123456789") == std::string_view::npos;
}

// "host:1,[::1]:2": libpq's words about a port that is none repeat it, and it may be a password's beginning.
bool has_ports(std::string_view hosts) {
  while (true) {
    const std::string_view host = hosts.substr(0, hosts.find(','));
    const size_t colon = host.find(':', host.starts_with('[') ? std::min(host.find(']'), host.size()) : 0);
    if (colon != std::string_view::npos && !is_number(host.substr(colon + 1))) return false;
    if (host.size() == hosts.size()) return true;
    hosts.remove_prefix(host.size() + 1);
  }
}

// Whether all are of one mind about what is the password: user[:password]@ when there is an @ before the first slash.
bool has_clear_parts(std::string_view url) {
  if (url.find_first_of(kEndsUrl) != std::string_view::npos) return false;
  url = behind_scheme(url);
  if (const size_t at = url.find('@'); at < url.find('/')) {
    if (url.find('?') < std::min(url.find(':'), at)) return false;
    url.remove_prefix(at + 1);
  }
  url = url.substr(0, url.find('?'));
  return url.find('@') == std::string_view::npos && has_ports(url.substr(0, url.find('/')));
}

bool is_scheme(std::string_view text) {
  return !text.empty() && std::ranges::all_of(text, [](char c) {
    return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9');
  });
}

bool begins_as_postgres(std::string_view text) {
  constexpr std::string_view kName = "postgres";
  return std::ranges::equal(text.substr(0, kName.size()), kName, [](char a, char b) {
    return (a >= 'A' && a <= 'Z' ? static_cast<char>(a - 'A' + 'a') : a) == b;
  });
}

}  // namespace

std::string hide_passwords(std::string_view text) {
  std::string out;
  while (true) {
    const size_t scheme = text.find("://");
    if (scheme == std::string_view::npos) return out.append(text);
    out += text.substr(0, scheme + 3);
    text.remove_prefix(scheme + 3);
    const size_t end = std::min(text.find_first_of(kEndsUrl), text.size());
    out += hide_behind_scheme(text.substr(0, end));
    text.remove_prefix(end);
  }
}

bool is_postgres(std::string_view url) {
  return url.starts_with("postgresql://") || url.starts_with("postgres://");
}

void check_url(std::string_view url) {
  if (url.starts_with("sqlite:")) return;
  if (is_postgres(url)) {
    if (!has_clear_parts(url))
      throw_usage(
          "the storage is no URL of PostgreSQL, as postgresql://user@host/database; in a user's name and in "
          "a "
          "password @ is written as %40, / as %2F, : as %3A, ? as %3F, % as %25 and a space as %20");
    return;
  }
  const size_t scheme = url.find("://");
  if (is_scheme(url.substr(0, scheme)) && scheme != std::string_view::npos)
    throw_usage(
        "{}://…: no kind of database that is known; give postgresql://user@host/database, sqlite:FILE or a "
        "file's name",
        url.substr(0, scheme));
  if (scheme != std::string_view::npos || url.find_first_of("=@") != std::string_view::npos ||
      begins_as_postgres(url))
    throw_usage(
        "the storage is neither a URL nor plainly a file's name (there is = or @ in it, or it begins with "
        "postgres): give postgresql://user@host/database, or sqlite:FILE for a file of that name");
}

SplitUrl split_password(std::string_view url) {
  SplitUrl out{.url = std::string(url), .password = {}, .held_back = {}};
  if (!is_postgres(url)) return out;
  check_url(url);
  const size_t start = url.size() - behind_scheme(url).size();
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
      if (equals == std::string_view::npos || !is_harmless(name_of(piece))) {
        out.held_back += out.held_back.empty() ? "" : "&";
        out.held_back += piece;
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

std::string with_held_back(std::string url) {
  const char* held_back = std::getenv(kHeldBackVariable);
  if (held_back == nullptr || *held_back == '\0' || !is_postgres(url)) return url;
  const size_t at = url.find('@');  // a "?" before it is the password's
  url += url.find('?', at == std::string::npos ? 0 : at) == std::string::npos ? '?' : '&';
  return url + held_back;
}

}  // namespace retort::study
