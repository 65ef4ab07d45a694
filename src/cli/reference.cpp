// retort reference: hidden, for those who build packages. docs/reference.md, manual pages, completions.
#include "cli/reference.h"

#include <fmt/format.h>

#include <algorithm>
#include <filesystem>
#include <iterator>
#include <memory>
#include <regex>

#include "base/error.h"
#include "base/file.h"
#include "cli/commands.h"
#include "cli/options.h"
#include "cost/boards.h"
#include "data/reader.h"

namespace retort::cli {
namespace {

// The program and its commands, each before those below it; hidden ones (of an empty group) are left out.
std::vector<const CLI::App*> commands(const CLI::App& app) {
  std::vector<const CLI::App*> list = {&app};
  for (const CLI::App* sub : app.get_subcommands({}))
    if (!sub->get_group().empty()) {
      const auto below = commands(*sub);
      list.insert(list.end(), below.begin(), below.end());
    }
  return list;
}

std::string path_of(const CLI::App& app, std::string_view joint = " ") {
  return app.get_parent() == nullptr
             ? app.get_name()
             : fmt::format("{}{}{}", path_of(*app.get_parent(), joint), joint, app.get_name());
}

std::vector<const CLI::App*> below(const CLI::App& app) {
  std::vector<const CLI::App*> list;
  for (const CLI::App* sub : app.get_subcommands({}))
    if (!sub->get_group().empty()) list.push_back(sub);
  return list;
}

enum class Kind { Named, Positional };

std::vector<const CLI::Option*> options(const CLI::App& app, Kind kind) {
  std::vector<const CLI::Option*> list;
  for (const CLI::Option* option : app.get_options())
    if (option->get_positional() == (kind == Kind::Positional)) list.push_back(option);
  return list;
}

bool takes_value(const CLI::Option& option) {
  return option.get_items_expected_max() > 0;
}

// "-q", "--quiet".
std::vector<std::string> names(const CLI::Option& option) {
  std::vector<std::string> list;
  for (const std::string& name : option.get_snames()) list.push_back("-" + name);
  for (const std::string& name : option.get_lnames()) list.push_back("--" + name);
  return list;
}

std::string joined(const std::vector<std::string>& words, std::string_view joint) {
  return fmt::format("{}", fmt::join(words, joint));
}

std::string default_of(const CLI::Option& option) {
  return takes_value(option) ? option.get_default_str() : "";
}

// "retort search [OPTIONS] DIR".
std::string usage(const CLI::App& app) {
  std::string text = path_of(app) + " [OPTIONS]";
  if (!below(app).empty()) return text + " SUBCOMMAND";
  for (const CLI::Option* option : options(app, Kind::Positional)) {
    const std::string word = option->get_type_name().empty() ? option->get_name() : option->get_type_name();
    const std::string more = option->get_items_expected_max() > 1 ? " …" : "";
    text += option->get_required() ? fmt::format(" {}{}", word, more) : fmt::format(" [{}{}]", word, more);
  }
  return text;
}

// The lines below "Examples:" in the footer.
std::vector<std::string> examples(const CLI::App& app) {
  std::vector<std::string> lines;
  const std::string footer = app.get_footer();
  for (size_t at = 0; at < footer.size();) {
    const size_t end = std::min(footer.find('\n', at), footer.size());
    if (footer.compare(at, 2, "  ") == 0) lines.push_back(footer.substr(at + 2, end - at - 2));
    at = end + 1;
  }
  return lines;
}

std::string replaced(std::string text, std::string_view from, std::string_view to) {
  for (size_t at = 0; (at = text.find(from, at)) != std::string::npos; at += to.size())
    text.replace(at, from.size(), to);
  return text;
}

// ---- Markdown

std::string cell(std::string text) {
  return replaced(replaced(std::move(text), "|", "\\|"), "<", "&lt;");
}

void markdown_table(std::string& out, const std::vector<const CLI::Option*>& list, Kind kind) {
  if (list.empty()) return;
  out += kind == Kind::Positional ? "\n| argument | what it is |\n|---|---|\n"
                                  : "\n| option | default | what it does |\n|---|---|---|\n";
  for (const CLI::Option* option : list) {
    const std::string type = cell(takes_value(*option) ? option->get_type_name() : "");
    const std::string needed = option->get_required() ? " (**required**)" : "";
    if (kind == Kind::Positional) {
      fmt::format_to(std::back_inserter(out), "| `{}` | {}{} |\n", type.empty() ? option->get_name() : type,
                     cell(option->get_description()), needed);
      continue;
    }
    const std::string value = default_of(*option);
    fmt::format_to(std::back_inserter(out), "| `{}{}{}` | {} | {}{} |\n", joined(names(*option), ", "),
                   type.empty() ? "" : " ", type, value.empty() ? "" : "`" + cell(value) + "`",
                   cell(option->get_description()), needed);
  }
}

// ---- roff

std::string roff(std::string text) {
  text = replaced(std::move(text), "\\", "\\e");
  text = replaced(std::move(text), "-", "\\-");
  text = replaced(std::move(text), "'", "\\(aq");
  text = replaced(std::move(text), ",", ",\\:");  // where a long list may break
  if (text.starts_with('.')) text.insert(0, "\\&");
  return text;
}

void roff_options(std::string& out, const std::vector<const CLI::Option*>& list, Kind kind) {
  for (const CLI::Option* option : list) {
    const std::string type = takes_value(*option) ? option->get_type_name() : "";
    if (kind == Kind::Positional) {
      fmt::format_to(std::back_inserter(out), ".TP\n\\fI{}\\fR\n",
                     roff(type.empty() ? option->get_name() : type));
    } else {
      std::string line;
      for (const std::string& name : names(*option))
        line += fmt::format("{}\\fB{}\\fR", line.empty() ? "" : ", ", roff(name));
      if (!type.empty()) line += fmt::format(" \\fI{}\\fR", roff(type));
      fmt::format_to(std::back_inserter(out), ".TP\n{}\n", line);
    }
    std::string text = option->get_description();
    if (const std::string value = default_of(*option); !value.empty())
      text += fmt::format(" (default: {})", value);
    if (option->get_required()) text += " (required)";
    fmt::format_to(std::back_inserter(out), "{}\n", roff(text));
  }
}

std::string manual_page(const CLI::App& app, const CLI::App& program) {
  const std::string name = path_of(app, "-");
  std::string title = name;
  std::ranges::transform(title, title.begin(),
                         [](char c) { return c >= 'a' && c <= 'z' ? static_cast<char>(c - 32) : c; });
  std::string description = app.get_description();
  while (description.ends_with('.')) description.pop_back();
  std::string out = fmt::format(
      ".TH {} 1 \"\" \"Retort {}\" \"User Commands\"\n.ad l\n.nh\n.SH NAME\n{} \\- {}\n.SH SYNOPSIS\n.B {}\n",
      roff(title), RETORT_VERSION, roff(name), roff(description), roff(usage(app)));
  if (const auto list = options(app, Kind::Positional); !list.empty()) {
    out += ".SH ARGUMENTS\n";
    roff_options(out, list, Kind::Positional);
  }
  if (const auto list = below(app); !list.empty()) {
    out += ".SH COMMANDS\n";
    for (const CLI::App* sub : list)
      fmt::format_to(std::back_inserter(out), ".TP\n\\fB{}\\fR(1)\n{}\n", roff(path_of(*sub, "-")),
                     roff(sub->get_description()));
  }
  out += ".SH OPTIONS\n";
  roff_options(out, options(app, Kind::Named), Kind::Named);
  if (const auto lines = examples(app); !lines.empty()) {
    out += ".SH EXAMPLES\n.nf\n";
    for (const std::string& line : lines) out += roff(line) + "\n";
    out += ".fi\n";
  }
  out +=
      ".SH EXIT STATUS\n.TP\n.B 0\ndone\n.TP\n.B 1\nfailed\n.TP\n.B 2\nwrong use\n.TP\n.B 3\nnothing is "
      "feasible\n.TP\n.B "
      "130\ninterrupted; what was finished is stored\n.SH SEE ALSO\n";
  std::vector<std::string> others;
  for (const CLI::App* other : {&program, app.get_parent()})
    if (other != nullptr && other != &app && std::ranges::count(others, path_of(*other, "-")) == 0)
      others.push_back(path_of(*other, "-"));
  std::string also;
  for (const std::string& other : others)
    also += fmt::format("{}\\fB{}\\fR(1)", also.empty() ? "" : ", ", roff(other));
  out += also.empty() ? "The pages of the commands above.\n" : also + "\n";
  return out;
}

// ---- Shells

std::string in_quotes(const std::string& text) {
  return "'" + replaced(text, "'", "'\\''") + "'";
}

bool is_path(const CLI::Option& option) {
  const std::string type = option.get_type_name();
  return type == "FILE" || type == "DIR" || type == "PATH" || type == "MODEL";
}

// Whether a file's name may be its value, perhaps beside words that it chooses among.
bool takes_file(const CLI::Option& option) {
  const std::string type = option.get_type_name();
  return is_path(option) || type.starts_with("FILE") || type.starts_with("DIR") || type == "SPEC" ||
         type == "TEACHER" || type == "CONFIG";
}

// 'retort data'|'retort data check'|…: the words that lead to a command.
std::string paths_pattern(const CLI::App& program, std::string_view joint) {
  std::vector<std::string> list;
  for (const CLI::App* app : commands(program))
    if (app != &program) list.push_back(in_quotes(path_of(*app)));
  return joined(list, joint);
}

std::vector<std::string> subcommand_names(const CLI::App& app) {
  std::vector<std::string> list;
  for (const CLI::App* sub : below(app)) list.push_back(sub->get_name());
  return list;
}

std::vector<std::string> positional_choices(const CLI::App& app) {
  for (const CLI::Option* option : options(app, Kind::Positional)) return choices_of(*option);
  return {};
}

}  // namespace

std::vector<std::string> choices_of(const CLI::Option& option) {
  if (!takes_value(option) || is_path(option)) return {};
  if (option.get_type_name() == "SPEC") {
    std::vector<std::string> list;
    for (const std::string& name : data::reader_names())
      list.push_back(name == "fashion-mnist" ? name : name + ":");
    return list;
  }
  const std::string name = option.get_single_name();
  if (name == "board" || (option.get_positional() && option.get_description().starts_with("one board"))) {
    std::vector<std::string> list;
    for (const cost::Board& board : cost::builtin_boards()) list.push_back(board.name);
    return list;
  }
  static const std::regex remark(R"( \([^)]*\))");
  static const std::regex list_of_words(R"(^[a-z0-9-]+((, or |, | or )[a-z0-9-]+)+)");
  static const std::regex joint(", or |, | or ");
  const std::string text = std::regex_replace(option.get_description(), remark, "");
  for (size_t at = 0; at < text.size();) {
    const size_t end = std::min(text.find(": ", at), text.size());
    const std::string segment = text.substr(at, end - at);
    std::smatch found;
    if (std::regex_search(segment, found, list_of_words)) {
      const std::string words = found.str();
      std::vector<std::string> list(std::sregex_token_iterator(words.begin(), words.end(), joint, -1), {});
      std::erase(list, "a");  // "train, none, a weights file"
      return list;
    }
    at = end + 2;
  }
  return {};
}

Document markdown_reference(const CLI::App& program) {
  std::string out =
      "# Every command and option\n"
      "`./dev reference` makes this page from the program; `retort COMMAND --help` and `man retort` say the "
      "same. What "
      "is left out has\nthe default shown. Exit codes: 0 done, 1 failed, 2 wrong use, 3 nothing is feasible, "
      "130 "
      "interrupted.\n";
  for (const CLI::App* app : commands(program)) {
    if (app != &program) {
      const std::string description = app->get_description();
      fmt::format_to(std::back_inserter(out), "\n## {}\n{}{}\n\n`{}`\n", path_of(*app), cell(description),
                     description.ends_with('.') ? "" : ".", usage(*app));
    }
    markdown_table(out, options(*app, Kind::Positional), Kind::Positional);
    markdown_table(out, options(*app, Kind::Named), Kind::Named);
    if (const auto lines = examples(*app); !lines.empty()) {
      out += "\n```sh\n";
      for (const std::string& line : lines) out += line + "\n";
      out += "```\n";
    }
  }
  return {"reference.md", out};
}

std::vector<Document> manual_pages(const CLI::App& program) {
  std::vector<Document> pages;
  for (const CLI::App* app : commands(program))
    pages.push_back({path_of(*app, "-") + ".1", manual_page(*app, program)});
  return pages;
}

Document bash_completion(const CLI::App& program) {
  std::string out = fmt::format(
      R"(# Completion of retort's commands, options and what they choose among; made by `retort reference`.
_retort() {{
  local cur=${{COMP_WORDS[COMP_CWORD]}} prev=${{COMP_WORDS[COMP_CWORD - 1]}} path=retort words= options= i
  COMPREPLY=()
  for ((i = 1; i < COMP_CWORD; ++i)); do
    case "$path ${{COMP_WORDS[i]}}" in
      {}) path="$path ${{COMP_WORDS[i]}}" ;;
    esac
  done
  case "$path $prev" in
)",
      paths_pattern(program, "|"));
  for (const CLI::App* app : commands(program))
    for (const CLI::Option* option : options(*app, Kind::Named)) {
      if (!takes_value(*option)) continue;
      std::vector<std::string> patterns;
      for (const std::string& name : names(*option))
        patterns.push_back(in_quotes(path_of(*app) + " " + name));
      const auto choices = choices_of(*option);
      fmt::format_to(std::back_inserter(out), "    {}) words={} ;;\n", joined(patterns, "|"),
                     in_quotes(!choices.empty()      ? joined(choices, " ")
                               : takes_file(*option) ? "-"
                                                     : "!"));
    }
  out += R"(  esac
  if [[ $words == - ]]; then return; fi  # the shell offers files
  if [[ $words == ! ]]; then compopt +o default 2>/dev/null; return; fi  # a number, a size: nothing to offer
  if [[ -z $words ]]; then
    case $path in
)";
  for (const CLI::App* app : commands(program)) {
    std::vector<std::string> all;
    for (const CLI::Option* option : options(*app, Kind::Named)) {
      const auto own = names(*option);
      all.insert(all.end(), own.begin(), own.end());
    }
    std::vector<std::string> words = subcommand_names(*app);
    if (words.empty()) words = positional_choices(*app);
    fmt::format_to(std::back_inserter(out), "      {}) words={} options={} ;;\n", in_quotes(path_of(*app)),
                   in_quotes(joined(words, " ")), in_quotes(joined(all, " ")));
  }
  out += R"(    esac
    if [[ $cur == -* ]]; then words=$options; fi
  fi
  if [[ -z $words ]]; then return; fi
  mapfile -t COMPREPLY < <(compgen -W "$words" -- "$cur")
  if [[ ${#COMPREPLY[@]} == 1 && ${COMPREPLY[0]} == *: ]]; then compopt -o nospace 2>/dev/null; fi
}
complete -o default -F _retort retort
)";
  return {"retort", out};
}

Document zsh_completion(const CLI::App& program) {
  // Inside an _arguments specification [ ] : are syntax.
  const auto plain = [](const std::string& text) {
    return replaced(replaced(replaced(replaced(text, "\\", "\\\\"), "[", "\\["), "]", "\\]"), ":", "\\:");
  };
  const auto action = [&](const CLI::Option& option) {
    const auto choices = choices_of(option);
    std::vector<std::string> words;
    for (const std::string& choice : choices) words.push_back(plain(choice));
    if (choices.empty()) return std::string(takes_file(option) ? "_files" : " ");
    return takes_file(option) ? " _retort_words_or_files " + joined(words, " ")
                              : "(" + joined(words, " ") + ")";
  };
  std::string out =
      "#compdef retort\n# Made by `retort reference`.\n\n"
      "_retort_words_or_files() {\n  compadd -S '' -- \"$@\"\n  _files\n}\n";
  for (const CLI::App* app : commands(program)) {
    fmt::format_to(
        std::back_inserter(out),
        "\n_{}() {{\n  local context state state_descr line\n  typeset -A opt_args\n  _arguments -C",
        replaced(path_of(*app, "_"), "-", "_"));
    for (const CLI::Option* option : options(*app, Kind::Named))
      for (const std::string& name : names(*option)) {
        std::string spec = fmt::format("{}[{}]", name, plain(option->get_description()));
        if (takes_value(*option))
          spec += fmt::format(":{}:{}", plain(option->get_type_name()), action(*option));
        fmt::format_to(std::back_inserter(out), " \\\n    {}", in_quotes(spec));
      }
    const auto subs = below(*app);
    if (subs.empty()) {
      const auto positionals = options(*app, Kind::Positional);
      if (!positionals.empty())
        fmt::format_to(std::back_inserter(out), " \\\n    {}",
                       in_quotes(fmt::format("*:{}:{}", plain(positionals[0]->get_type_name()),
                                             action(*positionals[0]))));
      out += "\n}\n";
      continue;
    }
    out +=
        " \\\n    '1: :->command' '*:: :->rest'\n  case $state in\n    command)\n      local -a commands=(";
    for (const CLI::App* sub : subs)
      fmt::format_to(
          std::back_inserter(out), "\n        {}",
          in_quotes(fmt::format("{}:{}", sub->get_name(), replaced(sub->get_description(), ":", "\\:"))));
    out += "\n      )\n      _describe command commands ;;\n    rest)\n      case $line[1] in\n";
    for (const CLI::App* sub : subs)
      fmt::format_to(std::back_inserter(out), "        {}) _{} ;;\n", sub->get_name(),
                     replaced(path_of(*sub, "_"), "-", "_"));
    out += "      esac ;;\n  esac\n}\n";
  }
  out += "\n_retort \"$@\"\n";
  return {"_retort", out};
}

Document fish_completion(const CLI::App& program) {
  const auto word = [](const std::string& text) {
    return "'" + replaced(replaced(text, "\\", "\\\\"), "'", "\\'") + "'";
  };
  std::string out = fmt::format(
      "# Made by `retort reference`.\n"
      "function __retort_path\n"
      "  set -l path retort\n"
      "  for word in (commandline -opc)[2..-1]\n"
      "    switch \"$path $word\"\n"
      "      case {}\n"
      "        set path \"$path $word\"\n"
      "    end\n"
      "  end\n"
      "  echo $path\n"
      "end\n\n",
      paths_pattern(program, " "));
  for (const CLI::App* app : commands(program)) {
    const std::string here = fmt::format("complete -c retort -n {}",
                                         word(fmt::format("test (__retort_path) = '{}'", path_of(*app))));
    for (const CLI::App* sub : below(*app))
      fmt::format_to(std::back_inserter(out), "{} -f -a {} -d {}\n", here, word(sub->get_name()),
                     word(sub->get_description()));
    if (const auto choices = positional_choices(*app); !choices.empty())
      fmt::format_to(std::back_inserter(out), "{} -a {}\n", here, word(joined(choices, " ")));
    for (const CLI::Option* option : options(*app, Kind::Named)) {
      out += here;
      for (const std::string& name : option->get_snames()) out += " -s " + name;
      for (const std::string& name : option->get_lnames()) out += " -l " + name;
      const auto choices = choices_of(*option);
      if (takes_value(*option)) out += takes_file(*option) ? " -r" : " -x";
      if (!choices.empty()) out += " -a " + word(joined(choices, " "));
      fmt::format_to(std::back_inserter(out), " -d {}\n", word(option->get_description()));
    }
  }
  return {"retort.fish", out};
}

void add_reference_command(CLI::App& app) {
  CLI::App* sub = app.add_subcommand("reference", "Write the options as documents: for who builds packages");
  sub->group("");  // not in the help, nor in the documents
  struct Command {
    std::string kind;
    std::filesystem::path folder;
  };
  const auto command = std::make_shared<Command>();
  sub->add_option("kind", command->kind, "markdown, man, bash, zsh or fish")->required();
  sub->add_option("folder", command->folder, "where to")->type_name("DIR")->required();
  sub->callback([command, &app] {
    std::vector<Document> documents;
    if (command->kind == "markdown")
      documents = {markdown_reference(app)};
    else if (command->kind == "man")
      documents = manual_pages(app);
    else if (command->kind == "bash")
      documents = {bash_completion(app)};
    else if (command->kind == "zsh")
      documents = {zsh_completion(app)};
    else if (command->kind == "fish")
      documents = {fish_completion(app)};
    else
      throw_usage("\"{}\" is no kind of document: write markdown, man, bash, zsh or fish", command->kind);
    for (const Document& document : documents)
      write_text_atomic(command->folder / document.name, document.text);
  });
}

}  // namespace retort::cli
