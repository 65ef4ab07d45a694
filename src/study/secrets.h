// Passwords in the URLs of databases: what is shown, logged or stored has none.
#pragma once

#include <string>
#include <string_view>

namespace retort::study {

// A text with "***" for the passwords of all URLs in it: between a user's name and the last @ before the query, and
// all values in the query but those that are known to be harmless (host, sslmode, …), however their names are written.
// What only looks like a password goes too; a URL ends at white space or a quote.
std::string hide_passwords(std::string_view text);

bool is_postgres(std::string_view url);  // as libpq takes it for a URL

// Error(Usage) unless it names a database: postgresql://…, with all its parts where libpq will look for them;
// sqlite:FILE; or a file's name that cannot be a mistyped URL or libpq's "host=… password=…". None of it is in the
// sentence, for it may be a password. Opens nothing.
void check_url(std::string_view url);

// A PostgreSQL URL and its secrets apart. Other texts are left as they are; Error(Usage) as above.
struct SplitUrl {
  std::string url;
  std::string password;   // decoded; empty when there is none. libpq is told of it by PGPASSWORD
  std::string held_back;  // "sslpassword=…&…": what else of the query may be a secret, as it stands
};
SplitUrl split_password(std::string_view url);

// held_back of a command line is kept in this variable of the environment, as libpq has none of its own for
// sslpassword: the process that begins anew after a crash finds it.
inline constexpr const char* kHeldBackVariable = "RETORT_STORAGE_SECRETS";
std::string with_held_back(std::string url);

}  // namespace retort::study
