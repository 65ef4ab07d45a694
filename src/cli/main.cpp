#include <fcntl.h>
#include <unistd.h>

#include <cerrno>
#include <cstdio>
#include <exception>

#include "base/descriptor.h"
#include "base/error.h"
#include "cli/commands.h"
#include "cli/interrupt.h"
#include "cli/openmp_wait.h"
#include "cli/options.h"
#include "cli/parse_sentence.h"
#include "cli/restart.h"
#include "cli/secrets.h"
#include "cli/text.h"
#include "study/secrets.h"

namespace {

using retort::ErrorCode;

constexpr int kWrongUse = static_cast<int>(ErrorCode::Usage);

// The sentence may name what strangers wrote: it stays one line and moves no cursor. It may repeat a URL: without its password.
// Where it cannot be written, the exit code alone says it.
int complain(const std::string& sentence, int exit_code) {
  const std::string shown = retort::cli::without_controls(retort::study::hide_passwords(sentence));
  std::fputs(fmt::format("retort: {}\n", shown).c_str(), stderr);
  return exit_code;
}

// Else the next file that is opened would be taken for standard output, and words written into it. Opened the wrong way round:
// who writes there is told so, as before.
void open_what_is_closed() {
  for (int descriptor = STDIN_FILENO; descriptor <= STDERR_FILENO; ++descriptor)
    if (::fcntl(descriptor, F_GETFD) < 0 && errno == EBADF)
      static_cast<void>(::open("/dev/null", descriptor == STDIN_FILENO ? O_WRONLY : O_RDONLY));
}

int run(int argc, char** argv) {
  CLI::App app{"Searches, distils, prunes and quantises neural networks for microcontrollers.", "retort"};
  app.set_version_flag("--version", "retort " RETORT_VERSION, "print the version");
  app.require_subcommand(1);
  app.get_formatter()->column_width(34);
  // What take_passwords() does not know for a URL.
  const std::string command_line = retort::study::hide_passwords(retort::cli::shell_command(argc, argv));
  retort::cli::add_search_command(app, command_line);
  retort::cli::add_teacher_command(app);
  retort::cli::add_distill_command(app);
  retort::cli::add_prune_command(app);
  retort::cli::add_quantize_command(app);
  retort::cli::add_export_command(app, command_line);
  retort::cli::add_eval_command(app);
  retort::cli::add_inspect_command(app);
  retort::cli::add_boards_command(app);
  retort::cli::add_pick_command(app);
  retort::cli::add_report_command(app);
  retort::cli::add_serve_command(app);
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
    // Asked for before CLI11 looks at the words that it could not place: a command that is none has no help.
    if (const auto rest = app.remaining(); app.get_subcommands().empty() && !rest.empty())
      return complain(retort::cli::parse_sentence(app, CLI::ExtrasError(app.get_name(), rest)), kWrongUse);
    retort::cli::write_standard_output(app.help());
  } catch (const CLI::CallForVersion& version) {
    retort::cli::write_standard_output(std::string(version.what()) + "\n");
  } catch (const CLI::ParseError& error) {
    return complain(retort::cli::parse_sentence(app, error), kWrongUse);
  }
  // A message that a full disk or a closed pipe swallowed is only seen here.
  if (std::fflush(stdout) != 0 || std::ferror(stdout) != 0)
    retort::throw_failure("cannot write to standard output: {}", retort::system_reason(errno));
  return 0;
}

}  // namespace

int main(int argc, char** argv) {
  open_what_is_closed();
  retort::cli::remember_program(argv);
  retort::cli::let_waiting_threads_sleep();
  try {
    retort::cli::take_passwords(argc, argv);
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
