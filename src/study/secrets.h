// Passwords in the URLs of databases: what is shown, logged or stored has none.
#pragma once

#include <string>
#include <string_view>

namespace retort::study {

// A text with "***" for the passwords of all URLs in it: between a user's name and the last @ before the query, and
// the values of password and sslpassword in the query, however their names are written. What only looks like a
// password goes too; a URL ends at white space or a quote.
std::string hide_passwords(std::string_view text);

// Whether a slash that is not written as %2F makes libpq take the beginning of a password for a port, which its words would
// repeat.
bool has_bare_slash_in_password(std::string_view url);

// A PostgreSQL URL and its password apart; the latter is decoded, and empty when there is none. The database is the
// same when libpq is told of the password in another way (PGPASSWORD). Other texts are left as they are.
struct SplitUrl {
  std::string url;
  std::string password;
};
SplitUrl split_password(std::string_view url);

}  // namespace retort::study
