#include "cli/parse_sentence.h"

#include <fmt/format.h>

#include <vector>

#include "base/nearest.h"

namespace retort::cli {
namespace {

// The subcommand that the command line got to, or the program itself.
const CLI::App& reached(const CLI::App& app) {
  const auto used = app.get_subcommands();
  return used.empty() ? app : reached(*used.back());
}

std::string command_name(const CLI::App& app) {
  return app.get_parent() == nullptr ? "retort" : command_name(*app.get_parent()) + " " + app.get_name();
}

std::string first_lower(std::string text) {
  if (text.size() > 1 && text[0] >= 'A' && text[0] <= 'Z' && text[1] >= 'a') text[0] += 'a' - 'A';
  return text;
}

// What a person may have meant by a word that nothing took.
std::string unexpected(const CLI::App& app, const std::string& word) {
  std::vector<std::string> known;
  const bool option = word.starts_with("-");
  if (option) {
    for (const CLI::Option* o : app.get_options())
      for (const std::string& name : o->get_lnames()) known.push_back("--" + name);
  } else {
    for (const CLI::App* sub : app.get_subcommands({})) known.push_back(sub->get_name());
  }
  const std::string bare = word.substr(0, word.find('='));
  std::string text = option          ? fmt::format("unknown option {}", bare)
                     : known.empty() ? fmt::format("unexpected argument \"{}\"", word)
                                     : fmt::format("unknown subcommand \"{}\"", word);
  const auto near = nearest(bare, known);
  text += near ? fmt::format(": did you mean {}?", *near) : ".";
  return fmt::format("{} See {} --help", text, command_name(app));
}

}  // namespace

std::string parse_sentence(const CLI::App& app, const CLI::ParseError& error) {
  const CLI::App& place = reached(app);
  if (dynamic_cast<const CLI::ExtrasError*>(&error) != nullptr) {
    const auto rest = app.remaining(true);
    if (!rest.empty()) return unexpected(place, rest.front());
  }
  if (dynamic_cast<const CLI::RequiredError*>(&error) != nullptr && !place.get_subcommands({}).empty()) {
    // CLI11 misses the subcommand before it looks at the words that it could not place.
    const auto rest = app.remaining(true);
    if (!rest.empty()) return unexpected(place, rest.front());
    return fmt::format("a subcommand is missing. See {} --help", command_name(place));
  }
  return fmt::format("{}. See {} --help", first_lower(error.what()), command_name(place));
}

}  // namespace retort::cli
