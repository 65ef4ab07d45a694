#include "report/live/http_server.h"

#include <gtest/gtest.h>
#include <httplib.h>

#include <pthread.h>

#include <atomic>
#include <stop_token>
#include <thread>

#include "base/error.h"
#include "live_client.h"
#include "no_more_threads.h"

namespace retort::report {
namespace {

class HttpServerTest : public testing::Test {
 protected:
  void start(HttpOptions options = {}) {
    options.headers = {{"X-Careful", "always"}};
    server_ = std::make_unique<HttpServer>(
        options,
        [this](const HttpRequest& request) -> std::optional<HttpResponse> {
          if (request.path == "/refused") return HttpResponse{.status = 403, .body = "no"};
          ++checked_;
          return std::nullopt;
        },
        [this](const HttpRequest& request) { return answer(request); });
    running_ = std::make_unique<Running<HttpServer>>(*server_);
  }
  HttpResponse answer(const HttpRequest& request) {
    if (request.path == "/throws") throw std::runtime_error("secret words");
    if (request.path == "/long") return {.body = std::string(1 << 20, 'x')};
    if (request.path == "/stream") {
      HttpResponse response{.type = "text/event-stream"};
      response.stream = [n = 0]() mutable -> std::optional<std::string> {
        if (++n > 3) return std::nullopt;
        return n == 2 ? "" : "data: " + std::to_string(n) + "\n\n";
      };
      return response;
    }
    if (request.path == "/endless") {
      HttpResponse response{.type = "text/event-stream"};
      response.stream = []() -> std::optional<std::string> { return ": x\n\n"; };
      return response;
    }
    return {.body = request.method + " " + request.path + " " + request.parameter("a") + " " + request.body};
  }
  [[nodiscard]] int port() const { return server_->port(); }
  // The answer to what is sent as it stands, until the server closes. Whatever it is, it has the headers of all.
  [[nodiscard]] std::string raw(std::string_view text) const {
    Wire wire(port());
    wire.send(text);
    std::string answer = wire.read();
    EXPECT_TRUE(answer.empty() || answer.find("\r\nX-Careful: always\r\n") != std::string::npos) << answer;
    return answer;
  }
  static int status(const std::string& answer) {
    return answer.size() > 12 ? std::stoi(answer.substr(9, 3)) : 0;
  }

  std::atomic<int> checked_ = 0;
  std::unique_ptr<HttpServer> server_;
  std::unique_ptr<Running<HttpServer>> running_;
};

TEST_F(HttpServerTest, AnswersAndKeepsTheConnection) {
  start();
  httplib::Client client("127.0.0.1", port());
  client.set_keep_alive(true);
  EXPECT_EQ(client.Get("/x%20y?a=b%26c")->body, "GET /x y b&c ");
  EXPECT_EQ(client.Post("/p", "word", "text/plain")->body, "POST /p  word");
  EXPECT_EQ(client.Head("/x")->status, 200);
  EXPECT_EQ(client.Get("/long")->body.size(), size_t{1} << 20);
  EXPECT_EQ(client.Get("/refused")->status, 403);
  const auto thrown = client.Get("/throws");
  EXPECT_EQ(thrown->status, 500);
  EXPECT_EQ(thrown->body.find("secret"), std::string::npos);
  for (const auto& [name, value] : thrown->headers)
    EXPECT_EQ(value.find("secret"), std::string::npos) << name;
}

TEST_F(HttpServerTest, CompressesWithWhatIsCheap) {
  start();
  EXPECT_NE(raw("GET /long HTTP/1.1\r\nHost: x\r\nAccept-Encoding: br, gzip\r\nConnection: close\r\n\r\n")
                .find("Content-Encoding: gzip"),
            std::string::npos);
  EXPECT_EQ(raw("GET /long HTTP/1.1\r\nHost: x\r\nAccept-Encoding: br\r\nConnection: close\r\n\r\n")
                .find("Content-Encoding"),
            std::string::npos);
  const std::string stream =
      raw("GET /stream HTTP/1.1\r\nHost: x\r\nAccept-Encoding: gzip\r\nConnection: close\r\n\r\n");
  EXPECT_EQ(stream.find("Content-Encoding"), std::string::npos);
  EXPECT_NE(stream.find("data: 1\n\n"), std::string::npos);
  EXPECT_NE(stream.find("data: 3\n\n"), std::string::npos);
}

TEST_F(HttpServerTest, RefusesWhatNobodyNeeds) {
  start();
  const std::string tail = " HTTP/1.1\r\nHost: x\r\n";
  EXPECT_EQ(status(raw("PUT /x" + tail + "Content-Length: 1\r\n\r\ny")), 405);
  EXPECT_EQ(status(raw("DELETE /x" + tail + "\r\n")), 405);
  EXPECT_EQ(status(raw("TRACE /x" + tail + "\r\n")), 405);
  EXPECT_EQ(status(raw("POST /x" + tail + "\r\n")), 411);
  EXPECT_EQ(status(raw("POST /x" + tail + "Transfer-Encoding: chunked\r\n\r\n1\r\ny\r\n0\r\n\r\n")), 411);
  EXPECT_EQ(status(raw("POST /x" + tail + "Content-Encoding: gzip\r\nContent-Length: 1\r\n\r\ny")), 411);
  EXPECT_EQ(status(raw("POST /x" + tail + "Content-Length: 99999999\r\n\r\n")), 413);
  EXPECT_EQ(status(raw("POST /x" + tail + "Content-Length: -1\r\n\r\n")), 400);
  EXPECT_EQ(status(raw("POST /x" + tail + "Content-Length: 1\r\nContent-Length: 2\r\n\r\nyz")), 400);
  EXPECT_EQ(status(raw("POST /x" + tail +
                       "Content-Type: multipart/form-data; boundary=b\r\nContent-Length: 1\r\n\r\ny")),
            415);
  EXPECT_EQ(status(raw("GET /x" + tail + "Content-Length: 5\r\n\r\nGET /")), 400);
  EXPECT_EQ(status(raw("GET /" + std::string(2000, 'x') + tail + "\r\n")), 414);
  EXPECT_EQ(status(raw("nonsense\r\n\r\n")), 400);
  EXPECT_EQ(checked_, 0);
  // Many ranges of a body are one body.
  const std::string ranges =
      raw("GET /long" + tail + "Range: bytes=0-,0-,0-,0-\r\nConnection: close\r\n\r\n");
  EXPECT_EQ(status(ranges), 200);
  EXPECT_LT(ranges.size(), size_t{1100} << 10);
}

// What the system gives a new thread where the stack has no limit.
TEST_F(HttpServerTest, ALongRangeEndsNoThread) {
  pthread_attr_t small;
  pthread_attr_init(&small);
  pthread_attr_setstacksize(&small, size_t{2} << 20);
  pthread_attr_t before;
  pthread_getattr_default_np(&before);
  pthread_setattr_default_np(&small);
  start();
  const std::string tail = " HTTP/1.1\r\nHost: x\r\nConnection: close\r\n";
  for (const char* name : {"Range", "RANGE", "range"})
    EXPECT_EQ(status(raw("GET /x" + tail + name + ": bytes=" + std::string(8000, '1') + "\r\n\r\n")), 200);
  pthread_setattr_default_np(&before);
  EXPECT_NE(raw("POST /p" + tail + "Content-Length: 12\r\n\r\nrange\nrange:").find("POST /p  range\nrange:"),
            std::string::npos)
      << "a body is nobody's header";
}

TEST_F(HttpServerTest, WithoutThreadsEverybodyIsTurnedAwayAndItEnds) {
#ifdef RETORT_SANITIZED
  GTEST_SKIP() << "a sanitizer has its own stacks";
#endif
  start();
  running_.reset();
  std::atomic<bool> may_begin = false;
  std::stop_source stop;
  server_ = std::make_unique<HttpServer>(
      HttpOptions{}, [](const HttpRequest&) { return std::optional<HttpResponse>(); },
      [this](const HttpRequest& request) { return answer(request); });
  std::jthread running([&] {
    may_begin.wait(false);
    server_->run(stop.get_token());
  });
  {
    const NoMoreThreads none;
    may_begin = true;
    may_begin.notify_one();
    httplib::Client client("127.0.0.1", port());
    EXPECT_EQ(client.Get("/x")->status, 503);
  }
  stop.request_stop();
}

TEST_F(HttpServerTest, WhatFollowsARefusedRequestIsNoRequest) {
  start();
  const std::string answer =
      raw("POST /refused HTTP/1.1\r\nHost: x\r\nContent-Length: 40\r\n\r\nGET /smuggled HTTP/1.1\r\nHost: "
          "x\r\n\r\n");
  EXPECT_EQ(status(answer), 403);
  EXPECT_EQ(answer.find("HTTP/1.1", 1), std::string::npos) << answer;
}

TEST_F(HttpServerTest, AHeadThatDoesNotEndIsCutOff) {
  start();
  Wire wire(port());
  wire.send("GET / HTTP/1.1\r\n");
  for (int i = 0; i < 2000; ++i) wire.send("X-Header: some words that nobody reads\r\n");
  EXPECT_NE(status(wire.read()), 200) << "and it was closed";
  EXPECT_EQ(checked_, 0);
}

TEST_F(HttpServerTest, SlowClientsLeaveRoomForOthers) {
  start({.connections = 2, .request_seconds = 0.3, .idle_seconds = 0.3});
  // Both places are taken: by one that sends nothing and by one that never ends its request.
  Wire idle(port());
  Wire slow(port());
  slow.send("GET / HTTP/1.1\r\nHost: x\r\n");
  EXPECT_EQ(idle.read(), "");
  EXPECT_EQ(status(slow.read()), 400);
  httplib::Client client("127.0.0.1", port());
  int last = 503;
  while (last == 503)
    if (const auto answer = client.Get("/x")) last = answer->status;
  EXPECT_EQ(last, 200);
}

TEST_F(HttpServerTest, TurnsAwayWhomItHasNoPlaceFor) {
  start({.connections = 1});
  Wire reader(port());
  reader.send("GET /endless HTTP/1.1\r\nHost: x\r\n\r\n");
  reader.read(": x");
  EXPECT_EQ(status(raw("GET /x HTTP/1.1\r\nHost: x\r\n\r\n")), 503);
}

TEST_F(HttpServerTest, AReaderThatDoesNotReadIsLeft) {
  start({.connections = 1, .write_seconds = 0.3});
  const Wire deaf(port());
  deaf.send("GET /endless HTTP/1.1\r\nHost: x\r\n\r\n");
  httplib::Client client("127.0.0.1", port());
  int last = 503;
  while (last == 503)
    if (const auto answer = client.Get("/x")) last = answer->status;
  EXPECT_EQ(last, 200);
}

TEST_F(HttpServerTest, EndsWhileReadersWait) {
  start();
  Wire reader(port());
  reader.send("GET /endless HTTP/1.1\r\nHost: x\r\n\r\n");
  reader.read(": x");
  const Wire idle(port());
  running_.reset();
  SUCCEED() << "no reader keeps it";
}

TEST_F(HttpServerTest, APortIsTakenOnce) {
  start();
  EXPECT_THROW(HttpServer({.port = port()}, {}, {}), Error);
  EXPECT_THROW(HttpServer({.address = "192.0.2.1"}, {}, {}), Error);
  const int port_before = port();
  running_.reset();
  server_.reset();
  start({.port = port_before});
  EXPECT_EQ(port(), port_before) << "and free again at once";
}

TEST(HttpServer, AStopBeforeItRunsIsSeen) {
  HttpServer server(
      {}, [](const HttpRequest&) { return std::nullopt; }, [](const HttpRequest&) { return HttpResponse{}; });
  std::stop_source stop;
  stop.request_stop();
  server.run(stop.get_token());
}

}  // namespace
}  // namespace retort::report
