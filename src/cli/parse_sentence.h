// One sentence on words of a command line that its options do not take.
#pragma once

#include <CLI/CLI.hpp>
#include <string>

namespace retort::cli {

// What is wrong, what may have been meant, and which --help tells more.
std::string parse_sentence(const CLI::App& app, const CLI::ParseError& error);

}  // namespace retort::cli
