// The live page of a study: what `retort serve` and `retort search --serve` serve.
//
//   GET  /                the page; /?sort=…&outcome=…&text=… with another table of trials
//   GET  /trial?number=N  all about one trial
//   GET  /section?name=…, /trials?…   parts of the page, each with the header Retort-Version
//   GET  /events          server-sent events: `view`, with the version of each part; `end` when no more comes
//   GET  /files/PATH      a file that the page links to
//   POST /login           token=…: a cookie
//   POST /stop, /resume   with control alone
#pragma once

#include <chrono>
#include <filesystem>
#include <functional>
#include <memory>
#include <stop_token>
#include <string>
#include <vector>

#include "report/live/sections.h"
#include "study/storage.h"

namespace retort::report {

struct LiveOptions {
  std::filesystem::path folder;  // may be without a study, or not there yet
  study::Place storage{};        // without a URL: the folder's study.db
  std::string address = "127.0.0.1";
  int port = 0;                      // 0: any free one
  std::vector<std::string> hosts{};  // names that it answers to beside localhost and addresses
  std::string token{};               // that readers need; empty: none
  Control control = Control::ReadOnly;
  std::function<void()> resume{};         // starts the search again; with control
  std::function<std::string()> notice{};  // what came of that: one sentence, or empty
};

class LiveServer {
 public:
  // Takes the port. Error(Usage): an address that others reach, or control, without a token; a token that could be
  // guessed; an address that is none of this machine's; a port that is taken.
  explicit LiveServer(const LiveOptions& options);
  ~LiveServer();
  LiveServer(const LiveServer&) = delete;
  LiveServer& operator=(const LiveServer&) = delete;

  [[nodiscard]] int port() const;
  [[nodiscard]] std::string url() const;  // "http://127.0.0.1:8137/"
  void run(const std::stop_token& stop);
  // While it still runs: tells every open page how it ended and that nothing more will come. Returns when all know, or
  // after `patience`.
  void end(std::chrono::milliseconds patience = std::chrono::seconds(3));

 private:
  class Implementation;
  std::unique_ptr<Implementation> implementation_;
};

}  // namespace retort::report
