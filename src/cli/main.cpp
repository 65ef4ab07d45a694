#include <cerrno>
#include <cstdio>
#include <cstring>
#include <exception>

#include "base/error.h"
#include "base/nearest.h"
#include "cli/commands.h"
#include "cli/interrupt.h"
#include "cli/openmp_wait.h"
#include "cli/options.h"

namespace {

using retort::ErrorCode;

constexpr int kWrongUse = static_cast<int>(ErrorCode::Usage);

int complain(const std::string& sentence, int exit_code) {
  fmt::print(stderr, "retort: {}\n", sentence);
  return exit_code;
}

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
  const auto near = retort::nearest(bare, known);
  text += near ? fmt::format(": did you mean {}?", *near) : ".";
  return fmt::format("{} See {} --help", text, command_name(app));
}

int parse_failure(const CLI::App& app, const CLI::ParseError& error) {
  const CLI::App& place = reached(app);
  if (dynamic_cast<const CLI::ExtrasError*>(&error) != nullptr) {
    const auto rest = app.remaining(true);
    if (!rest.empty()) return complain(unexpected(place, rest.front()), kWrongUse);
  }
  if (dynamic_cast<const CLI::RequiredError*>(&error) != nullptr && !place.get_subcommands({}).empty()) {
    // CLI11 misses the subcommand before it looks at the words that it could not place.
    const auto rest = app.remaining(true);
    if (!rest.empty()) return complain(unexpected(place, rest.front()), kWrongUse);
    return complain(fmt::format("a subcommand is missing. See {} --help", command_name(place)), kWrongUse);
  }
  return complain(fmt::format("{}. See {} --help", first_lower(error.what()), command_name(place)),
                  kWrongUse);
}

int run(int argc, char** argv) {
  CLI::App app{"Searches, distils, prunes and quantises neural networks for microcontrollers.", "retort"};
  app.set_version_flag("--version", "retort " RETORT_VERSION, "print the version");
  app.require_subcommand(1);
  app.get_formatter()->column_width(34);
  retort::cli::add_search_command(app, retort::cli::shell_command(argc, argv));
  retort::cli::add_teacher_command(app);
  retort::cli::add_distill_command(app);
  retort::cli::add_prune_command(app);
  retort::cli::add_quantize_command(app);
  retort::cli::add_export_command(app, retort::cli::shell_command(argc, argv));
  retort::cli::add_eval_command(app);
  retort::cli::add_inspect_command(app);
  retort::cli::add_boards_command(app);
  retort::cli::add_pick_command(app);
  retort::cli::add_report_command(app);
  retort::cli::add_data_command(app);
  retort::cli::add_study_command(app);
  retort::cli::add_worker_command(app);
  retort::cli::add_bench_command(app);
  retort::cli::add_reference_command(app);
  // Behind the others: a subcommand would take it over as its own.
  retort::cli::add_examples(app, {"retort search out --data fashion-mnist", "retort search --help"});
  try {
    app.parse(argc, argv);
  } catch (const CLI::CallForHelp&) {
    retort::cli::write_standard_output(app.help());
  } catch (const CLI::CallForVersion& version) {
    retort::cli::write_standard_output(std::string(version.what()) + "\n");
  } catch (const CLI::ParseError& error) {
    return parse_failure(app, error);
  }
  // A message that a full disk or a closed pipe swallowed is only seen here.
  if (std::fflush(stdout) != 0 || std::ferror(stdout) != 0)
    retort::throw_failure("cannot write to standard output: {}", std::strerror(errno));
  return 0;
}

}  // namespace

int main(int argc, char** argv) {
  retort::cli::let_waiting_threads_sleep(argv);
  try {
    retort::cli::install_interrupts();
    return run(argc, argv);
  } catch (const retort::Error& error) {
    return complain(error.what(), static_cast<int>(error.code()));
  } catch (const std::bad_alloc&) {
    return complain("out of memory", static_cast<int>(ErrorCode::Failure));
  } catch (const std::exception& error) {
    return complain(error.what(), static_cast<int>(ErrorCode::Failure));
  }
}
