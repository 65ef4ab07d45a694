// retort serve: a study's live page.
#include "cli/serve.h"

#include <fcntl.h>
#include <signal.h>
#include <spawn.h>
#include <sys/wait.h>
#include <unistd.h>

#include <charconv>
#include <cstdlib>
#include <memory>
#include <mutex>
#include <string_view>
#include <utility>

#include "base/descriptor.h"
#include "base/error.h"
#include "base/file.h"
#include "base/json.h"
#include "cli/commands.h"
#include "cli/interrupt.h"
#include "cli/options.h"
#include "cli/terminal.h"
#include "report/live/access.h"

namespace retort::cli {
namespace {

namespace fs = std::filesystem;

struct ServeCommand {
  fs::path folder;
  ServeOptions serve;
  study::Place storage;
  OutputOptions output;
};

// It is no option of the command line, which every user of a machine can see.
struct Token {
  std::string text;
  bool is_new = false;
};

// That of the file, else of the environment, else a new one where control is allowed, else none.
Token find_token(const ServeOptions& options) {
  Token token;
  if (!options.token_file.empty()) {
    token.text = read_text(options.token_file);
    while (!token.text.empty() && (token.text.back() == '\n' || token.text.back() == '\r'))
      token.text.pop_back();
    if (token.text.empty()) throw_usage("{}: holds no token", options.token_file.string());
  } else if (const char* variable = std::getenv("RETORT_TOKEN"); variable != nullptr && *variable != '\0') {
    token.text = variable;
  } else if (options.control == report::Control::Allowed && report::is_loopback(options.address)) {
    token = {.text = report::new_token(), .is_new = true};
  } else if (!report::is_loopback(options.address)) {
    throw_usage(
        "{}: others reach this address, so readers need a token: put one of 16 characters or more into a "
        "file for "
        "--token-file, or into $RETORT_TOKEN; or serve at 127.0.0.1 and use ssh -L",
        options.address);
  }
  return token;
}

// For people: with a new token behind `#`, which browsers do not send and servers do not log.
std::string address_for_people(const report::LiveServer& server, const Token& token) {
  return token.is_new ? fmt::format("{}#token={}", server.url(), token.text) : server.url();
}

report::LiveOptions live_options(const ServeOptions& options, const Token& token, const fs::path& folder,
                                 const study::Place& storage) {
  return {.folder = folder,
          .storage = storage,
          .address = options.address,
          .port = options.port,
          .hosts = options.hosts,
          .token = token.text,
          .control = options.control};
}

// `retort search FOLDER` as a process of its own, which goes on when this one ends. Safe to use from several threads.
class Resumption {
 public:
  Resumption(fs::path folder, study::Place storage)
      : folder_(std::move(folder)), storage_(std::move(storage)) {}

  // One at a time: the first is given the time that it needs to begin.
  void start() {
    const std::lock_guard lock(mutex_);
    look_after();
    if (process_ != 0) return;
    std::vector<std::string> words = {"retort", "search", folder_.string()};
    if (!storage_.url.empty()) {
      words.insert(words.end(), {"--storage", storage_.url, "--study", storage_.study});
      if (!storage_.artefacts.empty())
        words.insert(words.end(), {"--artefacts", storage_.artefacts.string()});
    }
    std::vector<char*> arguments;
    for (std::string& word : words) arguments.push_back(word.data());
    arguments.push_back(nullptr);

    posix_spawn_file_actions_t files;
    posix_spawn_file_actions_init(&files);
    posix_spawn_file_actions_addopen(&files, STDIN_FILENO, "/dev/null", O_RDONLY, 0);
    posix_spawn_file_actions_addopen(&files, STDOUT_FILENO, log().c_str(),
                                     O_WRONLY | O_CREAT | O_APPEND | O_NOFOLLOW, 0666);
    posix_spawn_file_actions_adddup2(&files, STDOUT_FILENO, STDERR_FILENO);
    // Readers' connections: they would stay open for as long as the search runs.
    posix_spawn_file_actions_addclosefrom_np(&files, STDERR_FILENO + 1);
    posix_spawnattr_t attributes;
    posix_spawnattr_init(&attributes);
    sigset_t signals;
    sigemptyset(&signals);
    posix_spawnattr_setsigmask(&attributes, &signals);
    sigfillset(&signals);
    posix_spawnattr_setsigdefault(&attributes, &signals);
    posix_spawnattr_setflags(&attributes,
                             POSIX_SPAWN_SETSIGMASK | POSIX_SPAWN_SETSIGDEF | POSIX_SPAWN_SETSID);
    // The page's token is none of the search's business.
    std::vector<char*> environment;
    for (char** variable = environ; *variable != nullptr; ++variable)
      if (!std::string_view(*variable).starts_with("RETORT_TOKEN=")) environment.push_back(*variable);
    environment.push_back(nullptr);
    const int error =
        ::posix_spawn(&process_, "/proc/self/exe", &files, &attributes, arguments.data(), environment.data());
    posix_spawnattr_destroy(&attributes);
    posix_spawn_file_actions_destroy(&files);
    if (error != 0) {
      process_ = 0;
      throw_failure("the search could not be started: {}", system_reason(error));
    }
    notice_ = fmt::format("It goes on from here as process {}; its words are in {}.", process_,
                          log().filename().string());
  }

  std::string notice() {
    const std::lock_guard lock(mutex_);
    look_after();
    return notice_;
  }

 private:
  [[nodiscard]] fs::path log() const { return folder_ / "search.log"; }

  // Takes note of its end.
  void look_after() {
    int status = 0;
    if (process_ == 0 || ::waitpid(process_, &status, WNOHANG) != process_) return;
    process_ = 0;
    notice_.clear();
    const int code = WIFEXITED(status) ? WEXITSTATUS(status) : 128 + WTERMSIG(status);
    if (code != 0 && code != static_cast<int>(ErrorCode::Interrupted))
      notice_ = fmt::format("The search that went on from here ended with code {}: {}", code, last_words());
  }

  // The last line of its words.
  [[nodiscard]] std::string last_words() const {
    try {
      std::string text = read_text(log());
      while (text.ends_with('\n')) text.pop_back();
      return text.substr(text.rfind('\n') + 1);
    } catch (const Error& error) {
      return error.what();
    }
  }

  fs::path folder_;
  study::Place storage_;
  std::mutex mutex_;
  pid_t process_ = 0;
  std::string notice_;
};

void run(const ServeCommand& command) {
  Terminal terminal(command.output);
  const Token token = find_token(command.serve);
  Resumption resumption(command.folder, command.storage);
  report::LiveOptions options = live_options(command.serve, token, command.folder, command.storage);
  options.resume = [&] { resumption.start(); };
  options.notice = [&] { return resumption.notice(); };
  report::LiveServer server(options);
  if (!fs::is_directory(command.folder) && command.storage.url.empty())
    terminal.message(
        fmt::format("{}: is not there yet; the page waits for a search to begin.", command.folder.string()));
  const std::string address = address_for_people(server, token);
  terminal.result_json({{"url", address}, {"port", server.port()}});
  terminal.result(fmt::format("{} shows {} until Ctrl-C.", address, command.folder.string()));
  say_on_interrupt("the page ends; the search, if one runs, goes on\n");
  server.run(interrupt_token());
}

}  // namespace

void read_address(const std::string& text, ServeOptions& options) {
  const auto wrong = [&] {
    throw_usage("\"{}\" is no address: write ADDRESS:PORT, such as 127.0.0.1:{} or [::1]:{}", text,
                kServePort, kServePort);
  };
  std::string address = text;
  const bool bracketed = text.starts_with('[');
  const size_t colon = bracketed ? text.find("]:") : text.rfind(':');
  if (colon != std::string::npos) {
    const std::string port = text.substr(colon + (bracketed ? 2 : 1));
    address = text.substr(0, bracketed ? colon + 1 : colon);
    const auto [end, error] = std::from_chars(port.data(), port.data() + port.size(), options.port);
    if (error != std::errc() || end != port.data() + port.size() || options.port < 0 || options.port > 65535)
      wrong();
  }
  if (bracketed) {
    if (!address.ends_with(']')) wrong();
    address = address.substr(1, address.size() - 2);
  } else if (address.find(':') != std::string::npos) {
    wrong();
  }
  if (address == "localhost") address = "127.0.0.1";
  if (!address.empty()) options.address = address;
  if (!report::is_address(options.address)) wrong();
}

void add_serve_options(CLI::App& app, ServeOptions& options, const std::string& prefix,
                       const std::string& control) {
  const std::string dash = "--" + prefix;
  app.add_option(
         dash + "host", options.hosts,
         "a name that the page answers to beside localhost and addresses, such as a proxy's; repeat for more")
      ->type_name("NAME")
      ->allow_extra_args(false)
      ->multi_option_policy(CLI::MultiOptionPolicy::TakeAll);
  app.add_option(dash + "token-file", options.token_file,
                 "file with the token that readers need; else $RETORT_TOKEN has it")
      ->type_name("FILE");
  app.add_flag_callback(
      dash + "control", [&options] { options.control = report::Control::Allowed; },
      control + "; needs a token, and makes one unless given");
}

LivePage::LivePage(const ServeOptions& options, const fs::path& folder, const study::Place& storage,
                   Terminal& terminal) {
  const Token token = find_token(options);
  if (token.is_new && terminal.is_quiet())
    throw_usage(
        "--serve-control makes a token, which --quiet would hide: give one by --serve-token-file or "
        "$RETORT_TOKEN");
  server_ = std::make_unique<report::LiveServer>(live_options(options, token, folder, storage));
  terminal.message(fmt::format("Shown at {} while it runs.", address_for_people(*server_, token)));
  thread_ = std::jthread([this, &terminal](const std::stop_token& stop) {
    try {
      server_->run(stop);
    } catch (const std::exception& error) {
      terminal.message(fmt::format("The live page ended: {}", error.what()));
    }
  });
}

LivePage::~LivePage() {
  server_->end();
}

void add_serve_command(CLI::App& app) {
  CLI::App* sub = app.add_subcommand("serve", "Show a search in a browser while it runs, before and after");
  const auto command = std::make_shared<ServeCommand>();
  sub->add_option("folder", command->folder, "folder of the search")->type_name("DIR")->required();
  add_parsed(*sub, "--listen", "ADDRESS", "where to serve; port 0 is any that is free",
             fmt::format("{}:{}", command->serve.address, command->serve.port),
             [command](const std::string& text) { read_address(text, command->serve); });
  add_serve_options(*sub, command->serve, "", "let readers stop and resume the search");
  add_storage_options(*sub, command->storage, Presence::Optional);
  add_output_options(*sub, command->output);
  add_examples(
      *sub, {"retort serve out", "retort serve out --control",
             "RETORT_TOKEN=$(cat token) retort serve out --listen 0.0.0.0:8137 --host retort.example.org"});
  sub->callback([command, sub] {
    require_storage_of_others(*sub, command->storage);
    run(*command);
  });
}

}  // namespace retort::cli
