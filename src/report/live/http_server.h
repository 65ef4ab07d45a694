// A small HTTP server for pages that people watch: a façade over cpp-httplib, whose header is in http_server.cpp alone,
// with what that leaves open: how long a whole request may take to arrive, how long its head may be, how many are
// served at once. It knows nothing of what it serves.
//
// A connection is a thread of a pool that is made at once and never grows. What comes above is answered with 503 and
// closed without waiting, so that slow or idle clients keep nobody else out for longer than Limits says.
#pragma once

#include <functional>
#include <map>
#include <memory>
#include <optional>
#include <stop_token>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

namespace retort::report {

struct HttpRequest {
  std::string method;  // "GET", "HEAD", "POST", …
  std::string path;    // decoded, without the query
  std::multimap<std::string, std::string> query;
  std::multimap<std::string, std::string> headers;  // names in lower case
  std::string body;
  std::string remote_address;

  // The value of the header of that lower-case name; nothing when there is none, or more than one.
  [[nodiscard]] std::optional<std::string> header(const std::string& name) const;
  // Of the query; empty when it is missing.
  [[nodiscard]] std::string parameter(const std::string& name) const;
};

struct HttpResponse {
  int status = 200;
  std::string type = "text/plain; charset=utf-8";
  std::vector<std::pair<std::string, std::string>> headers;
  std::string body;
  // Instead of a body: called again and again for the next piece, which may wait a little. Nothing: the end.
  std::function<std::optional<std::string>()> stream;
};

struct HttpOptions {
  std::string address = "127.0.0.1";  // an IPv4 or IPv6 address of this machine
  int port = 0;                       // 0: any free one
  size_t connections = 32;            // served at once, streams included
  double request_seconds = 10;        // until a request has arrived whole
  double idle_seconds = 5;            // of a connection without a request
  double write_seconds = 10;          // until a client takes the next bytes of a response
  size_t head_bytes = 16 * 1024;
  size_t body_bytes = 16 * 1024;
  // Of every response, those to what is refused or no HTTP at all included.
  std::vector<std::pair<std::string, std::string>> headers{};
};

class HttpServer {
 public:
  // Before a request's body is read: a response refuses it. A request with a body of unknown length or an encoding was
  // refused before.
  using Check = std::function<std::optional<HttpResponse>(const HttpRequest&)>;
  using Handler = std::function<HttpResponse(const HttpRequest&)>;

  // Takes the port; connections wait until run(). Both functions are called from many threads. Error(Usage) when the
  // address is none of this machine's or the port is taken.
  HttpServer(const HttpOptions& options, Check check, Handler handler);
  ~HttpServer();
  HttpServer(const HttpServer&) = delete;
  HttpServer& operator=(const HttpServer&) = delete;

  [[nodiscard]] int port() const;
  // Serves until stopped; streams end then.
  void run(const std::stop_token& stop);

 private:
  class Implementation;
  std::unique_ptr<Implementation> implementation_;
};

}  // namespace retort::report
