// Pieces that Retort's pages are written with.
#pragma once

#include <string>
#include <string_view>

namespace retort::report {

// For text and for values of attributes in quotes, in HTML and in SVG; control characters go.
std::string escape_xml(std::string_view text);
// The same of what may be any bytes, such as a file's name: the pages are UTF-8.
std::string clean(std::string_view text);

std::string percent(double value);  // "91.24%"; "–" for a number that is not known

// One number in large letters and what it is, both as plain text.
std::string card(std::string_view value, std::string_view caption);

// Around a table that may be wider than the page: a region that can be scrolled by keyboard too. `label` says
// what is in it, as plain text.
std::string scroll(std::string_view label, std::string_view table);

// A structure in the notebook's list, "[('Conv2D', 16), ('MaxPool2D', None)]", in words, as HTML: "Conv2D 16, MaxPool2D".
std::string structure_text(std::string_view layers);

// As a shell reads it back.
std::string shell_word(std::string_view text);

}  // namespace retort::report
