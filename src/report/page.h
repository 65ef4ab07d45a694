// The frame of Retort's pages: one file with everything in it, which asks the network for nothing.
#pragma once

#include <string>
#include <string_view>

namespace retort::report {

// Shows the <title> of a mark in a chart beside it on hover and on keyboard focus (Escape hides it), opens what a
// link leads into, and everything but `details.settings` before printing. A page without scripts loses no more than this.
extern const std::string_view kPageScript;

struct Page {
  std::string title;        // plain text
  std::string_view style;   // CSS beside kStyle
  std::string_view script;  // JavaScript, or empty
  std::string_view policy;  // more directives of the content security policy, each ending with ;
  std::string_view body;    // HTML within <main>
};

// The policy allows this very script (by its hash), styles and pictures within the page, and nothing else.
std::string html_page(const Page& page);

}  // namespace retort::report
