#include "report/live/server.h"

#include <fmt/format.h>

#include <algorithm>
#include <atomic>
#include <charconv>
#include <chrono>
#include <exception>
#include <mutex>
#include <optional>
#include <thread>
#include <utility>

#include "base/error.h"
#include "base/json.h"
#include "report/live/access.h"
#include "report/live/feed.h"
#include "report/live/files.h"
#include "report/live/http_server.h"
#include "report/live/page.h"
#include "report/live/table.h"
#include "search/live.h"

namespace retort::report {
namespace {

constexpr size_t kConnections = 32;
// Others must get their turn, however many leave the page open.
constexpr int kStreams = 24;

HttpResponse html(std::string body, int status = 200) {
  return {.status = status, .type = "text/html; charset=utf-8", .headers = {}, .body = std::move(body)};
}
HttpResponse words(int status, std::string sentence) {
  return {.status = status, .headers = {}, .body = std::move(sentence) + "\n"};
}
HttpResponse to_page(std::string cookie = {}) {
  HttpResponse response = words(303, "See the page.");
  response.headers.emplace_back("Location", "./");
  if (!cookie.empty()) response.headers.emplace_back("Set-Cookie", std::move(cookie));
  return response;
}

// "token=abc%2D" → "abc-"; of a form with that one field.
std::string form_value(std::string_view body, std::string_view name) {
  const std::string beginning = std::string(name) + "=";
  if (!body.starts_with(beginning)) return {};
  body.remove_prefix(beginning.size());
  std::string out;
  for (size_t i = 0; i < body.size() && body[i] != '&'; ++i) {
    unsigned value = 0;
    if (body[i] == '%' && i + 2 < body.size() &&
        std::from_chars(body.data() + i + 1, body.data() + i + 3, value, 16).ptr == body.data() + i + 3) {
      out += static_cast<char>(value);
      i += 2;
    } else {
      out += body[i] == '+' ? ' ' : body[i];
    }
  }
  return out;
}

// Tell browsers to be careful.
std::vector<std::pair<std::string, std::string>> headers_of_all() {
  return {{"Content-Security-Policy", std::string(content_security_policy())},
          {"X-Content-Type-Options", "nosniff"},
          {"X-Frame-Options", "DENY"},
          {"Referrer-Policy", "same-origin"},
          {"Cross-Origin-Opener-Policy", "same-origin"},
          {"Cross-Origin-Resource-Policy", "same-origin"},
          {"Cache-Control", "no-store"}};
}

LiveOptions checked(LiveOptions options) {
  if (options.token.empty() && !is_loopback(options.address))
    throw_usage("{}: others reach this address: give a token, or serve at 127.0.0.1", options.address);
  if (options.token.empty() && options.control == Control::Allowed)
    throw_usage("to stop and resume a search from the page needs a token");
  if (!options.token.empty()) check_token(options.token);
  return options;
}

}  // namespace

class LiveServer::Implementation {
 public:
  explicit Implementation(const LiveOptions& options)
      : options_(checked(options)),
        access_(options.hosts, options.token),
        feed_(options.folder, options.storage, options.control, options.notice),
        server_(
            {.address = options.address,
             .port = options.port,
             .connections = kConnections,
             .headers = headers_of_all()},
            [this](const HttpRequest& request) { return refusal(request); },
            [this](const HttpRequest& request) { return answer(request); }) {}

  [[nodiscard]] int port() const { return server_.port(); }
  [[nodiscard]] std::string url() const {
    const bool is_v6 = options_.address.find(':') != std::string::npos;
    return fmt::format("http://{}{}{}:{}/", is_v6 ? "[" : "", options_.address, is_v6 ? "]" : "", port());
  }
  void run(const std::stop_token& stop) { server_.run(stop); }
  void end(std::chrono::milliseconds patience) {
    if (streams_ == 0) return;
    const auto deadline = std::chrono::steady_clock::now() + patience;
    feed_.look_now(patience);
    ending_ = true;
    while (streams_ > 0 && std::chrono::steady_clock::now() < deadline)
      std::this_thread::sleep_for(std::chrono::milliseconds(20));
    // Having been told that there is something new, pages come for it.
    constexpr std::chrono::milliseconds kFetching(1000);
    std::this_thread::sleep_for(kFetching);
  }

 private:
  // Before anything of a request but its head is looked at.
  std::optional<HttpResponse> refusal(const HttpRequest& request) {
    std::optional<HttpResponse> response;
    if (!access_.is_for_us(request))
      response = words(421, "This server does not answer to that name; `retort serve --host NAME` lets it.");
    else if (request.method == "POST" && !access_.is_from_us(request))
      response = words(403, "That came from a page of another site.");
    else if (!is_public(request) && !access_.is_known(request))
      response = request.path == "/" && request.method != "POST"
                     ? html(login_page(""), 401)
                     : words(401, "The token is missing or wrong.");
    if (response && response->status == 401) response->headers.emplace_back("WWW-Authenticate", "Bearer");
    return response;
  }

  // What holds nothing of the study.
  static bool is_public(const HttpRequest& request) {
    return request.method == "POST" ? request.path == "/login"
                                    : request.path == "/live.css" || request.path == "/live.js";
  }

  HttpResponse answer(const HttpRequest& request) {
    try {
      return request.method == "POST" ? post(request) : get(request);
    } catch (const Error& error) {
      return words(500, error.what());
    } catch (const std::exception& error) {
      return words(500, error.what());
    }
  }

  HttpResponse get(const HttpRequest& request) {
    constexpr std::string_view kFiles = "/files/";
    const std::string& path = request.path;
    if (path == "/live.css") return {.type = "text/css; charset=utf-8", .headers = {}, .body = live_style()};
    if (path == "/live.js")
      return {.type = "text/javascript; charset=utf-8", .headers = {}, .body = live_script()};
    if (path == "/") return html(live_page(*feed_.latest(), trial_query(request.query)));
    if (path == "/section") return section(request.parameter("name"));
    if (path == "/trials") return trials(request);
    if (path == "/trial") return trial(request.parameter("number"));
    if (path == "/events") return events(request);
    if (path.starts_with(kFiles)) return file(path.substr(kFiles.size()));
    if (path == "/login" || path == "/stop" || path == "/resume") return only_post();
    return words(404, "There is no such page.");
  }

  HttpResponse post(const HttpRequest& request) {
    if (request.path == "/login") {
      if (!access_.is_token(form_value(request.body, "token")))
        return html(login_page("That is not the token."), 403);
      return to_page(access_.cookie());
    }
    if (request.path != "/stop" && request.path != "/resume")
      return words(404, "There is nothing to be changed.");
    if (options_.control == Control::ReadOnly)
      return words(403, "This page is to be read only; `retort serve --control` lets it stop and resume.");
    // One at a time: two clicks start one search.
    const std::lock_guard lock(control_);
    const auto view = feed_.latest();
    const search::RunState state = view->facts.run.state;
    const bool runs = state == search::RunState::Running || state == search::RunState::Stopping;
    if (request.path == "/stop") {
      if (!runs) return words(409, "No search runs here.");
      search::request_stop(options_.folder, options_.storage, view->facts.run.id);
    } else {
      if (runs) return words(409, "The search runs already.");
      if (!view->facts.study) return words(409, "There is no search yet that could go on.");
      if (options_.resume) options_.resume();
    }
    feed_.look_soon();
    return to_page();
  }

  static HttpResponse only_post() {
    HttpResponse response = words(405, "This takes POST alone.");
    response.headers.emplace_back("Allow", "POST");
    return response;
  }

  HttpResponse section(const std::string& name) {
    const auto view = feed_.latest();
    const auto found = view->sections.find(name);
    if (found == view->sections.end()) return words(404, "There is no such part.");
    HttpResponse response = html(found->second.html);
    response.headers.emplace_back("Retort-Version", found->second.version);
    return response;
  }

  HttpResponse trials(const HttpRequest& request) {
    const auto view = feed_.latest();
    HttpResponse response = html(trials_table(view->facts.study ? *view->facts.study : search::StudyResult{},
                                              trial_query(request.query)));
    response.headers.emplace_back("Retort-Version", view->trials_version);
    return response;
  }

  HttpResponse trial(const std::string& text) {
    int number = -1;
    const auto [end, error] = std::from_chars(text.data(), text.data() + text.size(), number);
    std::string page;
    if (error == std::errc() && end == text.data() + text.size()) page = trial_page(*feed_.latest(), number);
    return page.empty() ? words(404, "There is no such trial, or it has not ended.") : html(std::move(page));
  }

  HttpResponse file(const std::string& name) {
    const auto view = feed_.latest();
    auto bytes = view->facts.study ? linked_file(*view->facts.study, options_.folder, name) : std::nullopt;
    if (!bytes) return words(404, "There is no such file.");
    HttpResponse response{
        .type = "application/octet-stream", .headers = {}, .body = {bytes->begin(), bytes->end()}};
    // Plain characters, or it would not have been found.
    response.headers.emplace_back(
        "Content-Disposition", fmt::format("attachment; filename=\"{}\"", name.substr(name.rfind('/') + 1)));
    return response;
  }

  // The versions of all parts at once, whenever one has changed. An event's id is theirs: whoever comes back with it,
  // to this server or to one that was started since, and has missed nothing, is told nothing.
  HttpResponse events(const HttpRequest& request) {
    if (streams_.fetch_add(1) >= kStreams) {
      --streams_;
      HttpResponse response = words(503, "Too many have this page open.");
      response.headers.emplace_back("Retry-After", "30");
      return response;
    }
    const std::shared_ptr<void> place(nullptr, [this](void*) { --streams_; });
    HttpResponse response{.type = "text/event-stream", .headers = {}, .body = {}};
    // For proxies that would gather a response before they hand it on.
    response.headers.emplace_back("X-Accel-Buffering", "no");
    using Clock = std::chrono::steady_clock;
    response.stream = [this, place, known = request.header("last-event-id").value_or(""),
                       said = Clock::time_point{}, ended = false]() mutable -> std::optional<std::string> {
      constexpr auto kPing = std::chrono::seconds(15);
      if (ended) return std::nullopt;
      const bool first = said == Clock::time_point{};
      const auto view = feed_.wait_for_other(known, std::chrono::milliseconds(first || ending_ ? 100 : 500));
      if (view) {
        known = view->version;
        said = Clock::now();
        Json versions = {{"trials", view->trials_version}};
        for (const auto& [name, section] : view->sections) versions[name] = section.version;
        return fmt::format("retry: 2000\nid: {}\nevent: view\ndata: {}\n\n", known, dump_json(versions));
      }
      if (ending_) {
        ended = true;
        return "event: end\ndata:\n\n";
      }
      if (!first && Clock::now() - said < kPing) return "";
      said = Clock::now();
      return ": still here\n\n";
    };
    return response;
  }

  const LiveOptions options_;
  LiveAccess access_;
  LiveFeed feed_;
  std::atomic<int> streams_ = 0;
  std::atomic<bool> ending_ = false;
  std::mutex control_;
  HttpServer server_;  // last: its threads use the rest
};

LiveServer::LiveServer(const LiveOptions& options)
    : implementation_(std::make_unique<Implementation>(options)) {}
LiveServer::~LiveServer() = default;
int LiveServer::port() const {
  return implementation_->port();
}
std::string LiveServer::url() const {
  return implementation_->url();
}
void LiveServer::run(const std::stop_token& stop) {
  implementation_->run(stop);
}
void LiveServer::end(std::chrono::milliseconds patience) {
  implementation_->end(patience);
}

}  // namespace retort::report
