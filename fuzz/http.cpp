// The live page's server with any bytes from a connection: what cpp-httplib makes of them, and what we do then.
#include <array>

#include "report/live/server.h"
#include "report/live_client.h"
#include "report/live_study.h"
#include "report/sample_study.h"
#include "target.h"

namespace retort::fuzz {
namespace {

constexpr const char* kToken = "0123456789abcdef0123";

// One server for all inputs: without a token, and with one and control.
class Site {
 public:
  explicit Site(bool guarded) {
    report::LiveOptions options{.folder = folder()};
    if (guarded) {
      options.token = kToken;
      options.control = report::Control::Allowed;
      options.hosts = {"proxy.example.org"};
    }
    server_ = std::make_unique<report::LiveServer>(options);
    running_ = std::make_unique<report::Running<report::LiveServer>>(*server_);
  }
  [[nodiscard]] int port() const { return server_->port(); }

 private:
  std::unique_ptr<report::LiveServer> server_;
  std::unique_ptr<report::Running<report::LiveServer>> running_;
};

const Site& site(bool guarded) {
  static const bool written = [] {
    report::LiveStudy study(folder());
    const search::StudyResult sample = report::sample_study(4, 1);
    study.describe(sample);
    for (const search::TrialResult& trial : sample.trials) study.add(trial);
    study.finish(sample);
    return true;
  }();
  require(written, "there is a study");
  static const Site open(false);
  static const Site closed(true);
  return guarded ? closed : open;
}

}  // namespace

void run(Bytes bytes) {
  if (bytes.empty()) return;
  const bool guarded = (bytes[0] & 1) != 0;
  const std::string_view text = as_text(bytes.subspan(1));
  report::Wire wire(site(guarded).port());
  if (!wire.send(text)) return;
  const std::string answer = wire.finish();
  require(answer.empty() || answer.starts_with("HTTP/1.1 "), "an answer begins as one");
  require(answer.find("HTTP/1.1 500") == std::string::npos, "no request makes the server fail");
  if (guarded && text.find(kToken) == std::string_view::npos)
    require(answer.find("filters, ") == std::string::npos && answer.find("photos") == std::string::npos,
            "without the token nothing of the study is told");
}

std::vector<Seed> seeds() {
  const std::string host = "\r\nHost: localhost\r\n\r\n";
  std::vector<Seed> all;
  for (const char* path : {"/", "/?sort=flash&order=desc&outcome=complete&text=%20a&from=50",
                           "/trial?number=2", "/section?name=status", "/trials?effort=full",
                           "/files/report.html", "/files/../study.db", "/live.css", "/live.js", "/login"})
    all.push_back(seed("0GET " + std::string(path) + " HTTP/1.1" + host));
  all.push_back(seed("1GET /trials HTTP/1.1\r\nAuthorization: Bearer " + std::string(kToken) + host));
  all.push_back(seed("1POST /login HTTP/1.1\r\nHost: [::1]:80\r\nContent-Length: 26\r\n\r\ntoken=" +
                     std::string(kToken)));
  all.push_back(seed(
      "1POST /stop HTTP/1.1\r\nOrigin: http://localhost:80\r\nContent-Length: 0\r\nAuthorization: Bearer " +
      std::string(kToken) + host));
  all.push_back(seed("0HEAD / HTTP/1.1\r\nAccept-Encoding: gzip, br\r\nRange: bytes=0-1,2-3" + host +
                     "GET /live.js HTTP/1.0\r\n\r\n"));
  all.push_back(
      seed("1GET / HTTP/1.1\r\nCookie: a=b; retort_01234567=0\r\nHost: proxy.example.org:8443\r\n\r\n"));
  all.push_back(seed("0POST / HTTP/1.1\r\nTransfer-Encoding: chunked" + host + "5\r\nhello\r\n0\r\n\r\n"));
  return all;
}

}  // namespace retort::fuzz
