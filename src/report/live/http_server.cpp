#include "report/live/http_server.h"

#include <httplib.h>
#include <netinet/in.h>
#include <poll.h>
#include <sys/socket.h>
#include <unistd.h>

#include <algorithm>
#include <array>
#include <atomic>
#include <cerrno>
#include <chrono>
#include <condition_variable>
#include <cstring>
#include <deque>
#include <functional>
#include <mutex>
#include <span>
#include <system_error>
#include <thread>
#include <vector>

#include "base/error.h"

namespace retort::report {
namespace {

using Clock = std::chrono::steady_clock;

Clock::time_point in(double seconds) {
  return Clock::now() + std::chrono::duration_cast<Clock::duration>(std::chrono::duration<double>(seconds));
}

enum class Wait { Ready, TooLong, Stopped };

// Until the socket has (POLLIN) or takes (POLLOUT) bytes.
Wait wait_for(socket_t socket, short events, Clock::time_point deadline, const std::atomic<bool>& stopping) {
  constexpr std::chrono::milliseconds kSlice(200);  // how soon a stop is seen
  while (!stopping) {
    const auto left = std::chrono::duration_cast<std::chrono::milliseconds>(deadline - Clock::now());
    if (left.count() <= 0) return Wait::TooLong;
    pollfd entry{.fd = socket, .events = events, .revents = 0};
    const int ready = ::poll(&entry, 1, static_cast<int>(std::min(left, kSlice).count()) + 1);
    if (ready > 0) return Wait::Ready;
    if (ready < 0 && errno != EINTR) return Wait::TooLong;
  }
  return Wait::Stopped;
}

// A connection, as httplib reads and writes it.
class Connection final : public httplib::Stream {
 public:
  Connection(socket_t socket, const HttpOptions& options, const std::atomic<bool>& stopping)
      : socket_(socket), options_(options), stopping_(stopping) {}

  bool wait_for_request() {
    return buffered() > 0 || wait_for(socket_, POLLIN, in(options_.idle_seconds), stopping_) == Wait::Ready;
  }
  void begin_request() {
    constexpr double kResponseSeconds = 60;
    read_deadline_ = in(options_.request_seconds);
    write_deadline_ = in(options_.request_seconds + kResponseSeconds);
    budget_ = options_.head_bytes + options_.body_bytes;
    is_head_ = true;
    column_ = 0;
  }
  // What follows is sent for as long as the client takes it.
  void stream() { write_deadline_ = Clock::time_point::max(); }
  // Nothing more is read from it: what comes next may be the rest of a request that was refused.
  void close_soon() { is_last_ = true; }
  [[nodiscard]] bool is_last() const { return is_last_; }

  bool is_readable() const override { return buffered() > 0; }
  bool is_writable() const override {
    pollfd entry{.fd = socket_, .events = POLLOUT | POLLRDHUP, .revents = 0};
    return ::poll(&entry, 1, 0) >= 0 && (entry.revents & (POLLRDHUP | POLLHUP | POLLERR)) == 0;
  }

  ssize_t read(char* data, size_t size) override {
    if (buffered() == 0 && !fill()) {
      close_soon();
      return -1;
    }
    const size_t count = std::min(size, buffered());
    std::memcpy(data, buffer_.data() + begin_, count);
    hide_ranges({data, count});
    begin_ += count;
    return static_cast<ssize_t>(count);
  }

  ssize_t write(const char* data, size_t size) override {
    for (;;) {
      const Clock::time_point deadline = std::min(in(options_.write_seconds), write_deadline_);
      if (wait_for(socket_, POLLOUT, deadline, stopping_) != Wait::Ready) return -1;
      const ssize_t sent = ::send(socket_, data, size, MSG_NOSIGNAL | MSG_DONTWAIT);
      if (sent >= 0) return sent;
      if (errno != EINTR && errno != EAGAIN) return -1;
    }
  }

  void get_remote_ip_and_port(std::string& ip, int& port) const override { name(::getpeername, ip, port); }
  void get_local_ip_and_port(std::string& ip, int& port) const override { name(::getsockname, ip, port); }
  socket_t socket() const override {
    return 0;
  }  // httplib asks whether select() could take it: nobody selects

 private:
  [[nodiscard]] size_t buffered() const { return end_ - begin_; }

  // httplib matches the header Range by a regular expression, which takes stack for each of its characters: eight thousand of
  // them end a thread, and the process. Nothing is served in parts here, so it sees a header of another name.
  void hide_ranges(std::span<char> bytes) {
    constexpr std::string_view kName = "range";
    for (char& c : bytes) {
      if (!is_head_) return;
      if (c == '\r') continue;
      if (c == '\n') {
        is_head_ = column_ > 0;
        column_ = 0;
        continue;
      }
      if (column_ == 0) is_name_ = true;
      if (column_ < kName.size() && is_name_) {
        is_name_ = (c | 0x20) == kName[column_];
        if (is_name_ && column_ + 1 == kName.size()) c = '_';
      }
      ++column_;
    }
  }

  bool fill() {
    for (;;) {
      if (budget_ == 0 || wait_for(socket_, POLLIN, read_deadline_, stopping_) != Wait::Ready) return false;
      const ssize_t got = ::recv(socket_, buffer_.data(), std::min(buffer_.size(), budget_), MSG_DONTWAIT);
      if (got < 0 && (errno == EINTR || errno == EAGAIN)) continue;
      if (got <= 0) return false;
      begin_ = 0;
      end_ = static_cast<size_t>(got);
      budget_ -= end_;
      return true;
    }
  }

  void name(int (*ask)(int, sockaddr*, socklen_t*), std::string& ip, int& port) const {
    sockaddr_storage address{};
    socklen_t size = sizeof address;
    if (ask(socket_, reinterpret_cast<sockaddr*>(&address), &size) != 0) return;
    std::array<char, NI_MAXHOST> host{};
    std::array<char, NI_MAXSERV> service{};
    if (::getnameinfo(reinterpret_cast<const sockaddr*>(&address), size, host.data(), host.size(),
                      service.data(), service.size(), NI_NUMERICHOST | NI_NUMERICSERV) != 0)
      return;
    ip = host.data();
    port = std::atoi(service.data());
  }

  socket_t socket_;
  const HttpOptions& options_;
  const std::atomic<bool>& stopping_;
  std::array<char, 4096> buffer_{};
  size_t begin_ = 0;
  size_t end_ = 0;
  size_t budget_ = 0;     // bytes that the request may still have
  bool is_head_ = true;   // no empty line was read yet
  size_t column_ = 0;     // in its line
  bool is_name_ = false;  // so far the line is like the hidden name
  Clock::time_point read_deadline_;
  Clock::time_point write_deadline_;
  bool is_last_ = false;
};

// The one that this thread serves, for handlers, which httplib gives the request alone.
thread_local Connection* current = nullptr;
// Of a connection.
constexpr size_t kMostRequests = 1000;
// Whether this thread turns connections away.
thread_local bool turns_away = false;

// As many threads as the system gives, of those that were asked for: without any every connection is one too many. httplib's own
// pool waits for ever where a thread is refused.
class Pool final : public httplib::TaskQueue {
 public:
  explicit Pool(size_t size) {
    for (size_t i = 0; i < size; ++i) {
      try {
        threads_.emplace_back([this] { run(); });
      } catch (const std::system_error&) {
        break;
      }
    }
  }
  ~Pool() override { end(); }
  Pool(const Pool&) = delete;
  Pool& operator=(const Pool&) = delete;

  void enqueue(std::function<void()> serve) override {
    {
      const std::lock_guard lock(mutex_);
      if (busy_ < threads_.size()) {
        ++busy_;
        waiting_.push_back(std::move(serve));
        work_.notify_one();
        return;
      }
    }
    turns_away = true;
    serve();
    turns_away = false;
  }
  void shutdown() override { end(); }

 private:
  void run() {
    std::unique_lock lock(mutex_);
    for (;;) {
      work_.wait(lock, [this] { return is_over_ || !waiting_.empty(); });
      if (waiting_.empty()) return;
      const std::function<void()> serve = std::move(waiting_.front());
      waiting_.pop_front();
      lock.unlock();
      serve();
      lock.lock();
      --busy_;
    }
  }
  // Those that wait are served first; they see that the server stops.
  void end() {
    {
      const std::lock_guard lock(mutex_);
      is_over_ = true;
    }
    work_.notify_all();
    threads_.clear();
  }

  std::mutex mutex_;
  std::condition_variable work_;
  std::deque<std::function<void()>> waiting_;
  size_t busy_ = 0;
  bool is_over_ = false;
  std::vector<std::jthread> threads_;  // last: they use the others
};

std::string lower(std::string text) {
  std::ranges::transform(text, text.begin(),
                         [](char c) { return c >= 'A' && c <= 'Z' ? static_cast<char>(c - 'A' + 'a') : c; });
  return text;
}

HttpRequest request_of(const httplib::Request& in) {
  HttpRequest out{.method = in.method, .path = in.path, .body = in.body, .remote_address = in.remote_addr};
  out.query.insert(in.params.begin(), in.params.end());
  for (const auto& [name, value] : in.headers) out.headers.emplace(lower(name), value);
  return out;
}

void give(HttpResponse&& from, httplib::Response& to) {
  to.status = from.status;
  for (const auto& [name, value] : from.headers) to.set_header(name, value);
  if (from.status >= 400) {
    to.set_header("Connection", "close");
    current->close_soon();
  }
  if (!from.stream) {
    to.set_content(from.body, from.type);
    return;
  }
  current->stream();
  to.set_chunked_content_provider(
      from.type, [next = std::move(from.stream)](size_t /*offset*/, httplib::DataSink& sink) {
        if (!sink.is_writable()) return false;
        const auto piece = next();
        if (!piece)
          sink.done();
        else if (!piece->empty())
          sink.write(piece->data(), piece->size());
        return true;
      });
}

// To a connection that is one too many.
std::string busy_response(const HttpOptions& options) {
  std::string text =
      "HTTP/1.1 503 Service Unavailable\r\nContent-Length: 0\r\nRetry-After: 5\r\nConnection: close\r\n";
  for (const auto& [name, value] : options.headers)
    text.append(name).append(": ").append(value).append("\r\n");
  return text + "\r\n";
}

// What httplib would take and nobody needs.
std::optional<HttpResponse> refuse(const HttpRequest& request, const HttpOptions& options) {
  const auto no = [](int status, std::string why) {
    return HttpResponse{.status = status, .body = std::move(why) + "\n"};
  };
  constexpr size_t kLongestPath = 1024;
  const bool has_body = request.method == "POST";
  if (!has_body && request.method != "GET" && request.method != "HEAD") {
    HttpResponse response = no(405, "Only GET, HEAD and POST are known here.");
    response.headers.emplace_back("Allow", "GET, HEAD, POST");
    return response;
  }
  if (request.path.size() > kLongestPath) return no(414, "That path is too long.");
  if (request.headers.contains("transfer-encoding") || request.headers.contains("content-encoding"))
    return no(has_body ? 411 : 400, "A request's body needs a length, and no encoding.");
  const size_t lengths = request.headers.count("content-length");
  const std::string length = request.header("content-length").value_or("");
  if (lengths > 1 ||
      (lengths == 1 && (length.empty() || length.size() > 9 ||
                        !std::ranges::all_of(length, [](char c) { return c >= '0' && c <= '9'; }))))
    return no(400, "That is no length.");
  const size_t bytes = length.empty() ? 0 : std::stoul(length);
  if (has_body && lengths == 0) return no(411, "A request's body needs a length.");
  if (!has_body && bytes > 0) return no(400, "Such a request has no body.");
  if (bytes > options.body_bytes) return no(413, "That is too long.");
  if (request.header("content-type").value_or("").starts_with("multipart/"))
    return no(415, "That kind of form is not known here.");
  return std::nullopt;
}

// Takes out of a request what would make its response dear: many ranges of a body are many bodies, and httplib's Brotli
// works at its highest quality, for which a search that trains beside it would pay.
void tame(httplib::Request& request) {
  request.ranges.clear();
  const bool gzip = request.get_header_value("Accept-Encoding").find("gzip") != std::string::npos;
  request.headers.erase("Accept-Encoding");
  if (gzip) request.headers.emplace("Accept-Encoding", "gzip");
}

class Listener final : public httplib::Server {
 public:
  Listener(const HttpOptions& options, const std::atomic<bool>& stopping)
      : options_(options), stopping_(stopping), busy_(busy_response(options)) {}
  // httplib leaves the port taken of one that never ran.
  ~Listener() override {
    if (const socket_t socket = svr_sock_.exchange(INVALID_SOCKET); socket != INVALID_SOCKET) ::close(socket);
  }
  Listener(const Listener&) = delete;
  Listener& operator=(const Listener&) = delete;

 private:
  bool process_and_close_socket(socket_t socket) override {
    if (turns_away) {
      static_cast<void>(::send(socket, busy_.data(), busy_.size(), MSG_NOSIGNAL | MSG_DONTWAIT));
      ::shutdown(socket, SHUT_WR);
      ::close(socket);
      return false;
    }
    Connection connection(socket, options_, stopping_);
    current = &connection;
    bool served = false;
    for (size_t left = kMostRequests; left > 0 && connection.wait_for_request(); --left) {
      connection.begin_request();
      bool closed = false;
      served = process_request(connection, left == 1, closed, tame);
      if (!served || closed || connection.is_last()) break;
    }
    current = nullptr;
    // With unread bytes the system would throw away what was sent and not yet read.
    ::shutdown(socket, SHUT_WR);
    std::array<char, 4096> rest{};
    const Clock::time_point deadline = in(1);
    while (wait_for(socket, POLLIN, deadline, stopping_) == Wait::Ready)
      if (::recv(socket, rest.data(), rest.size(), MSG_DONTWAIT) <= 0) break;
    ::close(socket);
    return served;
  }

  const HttpOptions& options_;
  const std::atomic<bool>& stopping_;
  const std::string busy_;
};

}  // namespace

std::optional<std::string> HttpRequest::header(const std::string& name) const {
  if (headers.count(name) != 1) return std::nullopt;
  return headers.find(name)->second;
}

std::string HttpRequest::parameter(const std::string& name) const {
  const auto found = query.find(name);
  return found == query.end() ? std::string() : found->second;
}

class HttpServer::Implementation {
 public:
  Implementation(const HttpOptions& options, Check check, Handler handler)
      : options_(options),
        check_(std::move(check)),
        handler_(std::move(handler)),
        server_(options_, stopping_),
        port_(options.port) {
    server_.new_task_queue = [this] { return new Pool(options_.connections); };  // httplib owns it
    server_.set_default_headers({options_.headers.begin(), options_.headers.end()});
    server_.set_keep_alive_max_count(kMostRequests);
    server_.set_keep_alive_timeout(static_cast<time_t>(options_.idle_seconds));
    // httplib's own choice lets two servers share a port.
    server_.set_socket_options([](socket_t socket) {
      const int yes = 1;
      ::setsockopt(socket, SOL_SOCKET, SO_REUSEADDR, &yes, sizeof yes);
    });
    server_.set_exception_handler(
        [](const httplib::Request&, httplib::Response& response, const std::exception_ptr&) {
          response.status = 500;
          response.set_content("Something failed here.\n", "text/plain; charset=utf-8");
        });
    // Also where httplib would look for files: nothing is served from a folder.
    server_.set_pre_routing_handler([this](const httplib::Request& in, httplib::Response& out) {
      const HttpRequest request = request_of(in);
      auto refusal = refuse(request, options_);
      if (!refusal) refusal = check_(request);
      if (refusal) {
        give(*std::move(refusal), out);
        return httplib::Server::HandlerResponse::Handled;
      }
      if (in.method == "POST") return httplib::Server::HandlerResponse::Unhandled;  // its body is read next
      give(handler_(request), out);
      return httplib::Server::HandlerResponse::Handled;
    });
    server_.Post(".*", [this](const httplib::Request& in, httplib::Response& out) {
      give(handler_(request_of(in)), out);
    });
    bind();
  }

  [[nodiscard]] int port() const { return port_; }

  void run(const std::stop_token& stop) {
    std::atomic<bool> begun = false;
    std::atomic<bool> over = false;
    const std::stop_callback end(stop, [&] {
      stopping_ = true;
      if (!begun) return;
      // A loop that is about to begin does not see an end that comes before.
      while (!server_.is_running() && !over) std::this_thread::sleep_for(std::chrono::milliseconds(1));
      server_.stop();
    });
    begun = true;
    // A connection that was cut while it was taken ends httplib's loop.
    while (!stopping_ && !server_.listen_after_bind() && !stopping_) bind();
    over = true;
  }

 private:
  void bind() {
    if (port_ == 0)
      port_ = std::max(server_.bind_to_any_port(options_.address), 0);
    else if (!server_.bind_to_port(options_.address, port_))
      port_ = 0;
    if (port_ <= 0)
      throw_usage(
          "{}: nothing can be served at port {} there: give an address of this machine and a port that is "
          "free",
          options_.address, options_.port);
  }

  const HttpOptions options_;
  Check check_;
  Handler handler_;
  std::atomic<bool> stopping_ = false;
  Listener server_;
  int port_;
};

HttpServer::HttpServer(const HttpOptions& options, Check check, Handler handler)
    : implementation_(std::make_unique<Implementation>(options, std::move(check), std::move(handler))) {}
HttpServer::~HttpServer() = default;
int HttpServer::port() const {
  return implementation_->port();
}
void HttpServer::run(const std::stop_token& stop) {
  implementation_->run(stop);
}

}  // namespace retort::report
