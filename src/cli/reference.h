// The program's options as documents, all made from what the program itself parses by: one page of Markdown, manual
// pages, and what shells complete.
#pragma once

#include <CLI/CLI.hpp>
#include <string>
#include <vector>

namespace retort::cli {

struct Document {
  std::string name;  // of its file
  std::string text;
};

// docs/reference.md.
Document markdown_reference(const CLI::App& program);
// A page a command: retort.1, retort-search.1, retort-data-check.1, …
std::vector<Document> manual_pages(const CLI::App& program);
// `retort` for bash, `_retort` for zsh, `retort.fish`.
Document bash_completion(const CLI::App& program);
Document zsh_completion(const CLI::App& program);
Document fish_completion(const CLI::App& program);

// The words among which an option chooses, as its description lists them ("float or int8: …"); none for free text.
std::vector<std::string> choices_of(const CLI::Option& option);

}  // namespace retort::cli
