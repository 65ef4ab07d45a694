// Texts on a terminal: how wide they are, and what fits.
#pragma once

#include <string>
#include <string_view>

namespace retort::cli {

enum class Charset { Ascii, Utf8 };

// What LC_ALL, LC_CTYPE and LANG promise.
Charset charset_of_locale();

// Columns that a UTF-8 text takes on a terminal, and its beginning that fits into `columns`, with "…" ("~" in
// ASCII) at the end when something was cut off.
int display_columns(std::string_view text);
std::string fit_columns(std::string_view text, int columns, Charset charset);

// Control characters become spaces, so that a name cannot move the cursor.
std::string without_controls(std::string_view text);

// The same of text that has lines of its own: line feeds and tabs stay.
std::string lines_without_controls(std::string_view text);

}  // namespace retort::cli
