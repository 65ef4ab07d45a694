// Options and running of a live page, for `retort serve` and `retort search --serve`.
#pragma once

#include <CLI/CLI.hpp>
#include <filesystem>
#include <memory>
#include <string>
#include <thread>
#include <vector>

#include "cli/terminal.h"
#include "report/live/server.h"
#include "study/storage.h"

namespace retort::cli {

inline constexpr int kServePort = 8137;

struct ServeOptions {
  std::string address = "127.0.0.1";
  int port = kServePort;
  std::vector<std::string> hosts;
  std::filesystem::path token_file;
  report::Control control = report::Control::ReadOnly;
};

// "127.0.0.1:8137", "0.0.0.0", ":8137", "[::1]:8137" into `options`; what is missing stays. Error(Usage) for others.
void read_address(const std::string& text, ServeOptions& options);
// --host, --token-file, --control with `prefix`; `control` says what that allows.
void add_serve_options(CLI::App& app, ServeOptions& options, const std::string& prefix,
                       const std::string& control);

// The page beside a search, for as long as this lives; open pages are told its end. Says where it is. A server that
// fails says so and leaves the search alone.
class LivePage {
 public:
  // Error(Usage) as report::LiveServer.
  LivePage(const ServeOptions& options, const std::filesystem::path& folder, const study::Place& storage,
           Terminal& terminal);
  ~LivePage();
  LivePage(const LivePage&) = delete;
  LivePage& operator=(const LivePage&) = delete;

 private:
  std::unique_ptr<report::LiveServer> server_;
  std::jthread thread_;  // last: it uses the server
};

}  // namespace retort::cli
