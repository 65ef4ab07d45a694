#include "base/json.h"
#include "report/live/server.h"

#include <gtest/gtest.h>
#include <httplib.h>

#include <algorithm>
#include <filesystem>
#include <regex>

#include "base/error.h"
#include "base/file.h"
#include "live_client.h"
#include "live_study.h"
#include "sample_study.h"
#include "temporary_folder.h"
#include "xml.h"

namespace retort::report {
namespace {

namespace fs = std::filesystem;

constexpr const char* kToken = "0123456789abcdef0123";

class LiveServerTest : public testing::Test {
 protected:
  void start(LiveOptions options = {}) {
    options.folder = folder_.path();
    server_ = std::make_unique<LiveServer>(options);
    running_ = std::make_unique<Running<LiveServer>>(*server_);
    client_ = std::make_unique<httplib::Client>("127.0.0.1", server_->port());
  }
  void stop() {
    running_.reset();
    server_.reset();
  }
  // Six complete trials and three that were skipped, with their finalists.
  void write_study() {
    study_ = std::make_unique<LiveStudy>(folder_.path());
    const search::StudyResult sample = sample_study(6, 3);
    study_->describe(sample);
    for (const search::TrialResult& trial : sample.trials) study_->add(trial);
    study_->finish(sample);
  }
  httplib::Response get(const std::string& path, const httplib::Headers& headers = {}) {
    const auto result = client_->Get(path, headers);
    return result ? *result : httplib::Response{};
  }
  // The page's part, once it says `text`: the server reads the study about once a second.
  std::string eventually(const std::string& path, const std::string& text) {
    std::string body;
    do {
      body = get(path).body;
    } while (body.find(text) == std::string::npos &&
             (std::this_thread::sleep_for(std::chrono::milliseconds(20)), true));
    return body;
  }
  // Numbers of the trials in the order of the table.
  std::vector<int> order(const std::string& query) {
    const std::string body = get("/trials" + query).body;
    std::vector<int> numbers;
    const std::string before = "<a href='trial?number=";
    for (size_t at = body.find(before); at != std::string::npos; at = body.find(before, at + 1))
      numbers.push_back(std::stoi(body.substr(at + before.size())));
    return numbers;
  }

  TemporaryFolder folder_;
  std::unique_ptr<LiveStudy> study_;
  std::unique_ptr<LiveServer> server_;
  std::unique_ptr<Running<LiveServer>> running_;
  std::unique_ptr<httplib::Client> client_;
};

TEST_F(LiveServerTest, WaitsForAStudyAndShowsIt) {
  start();
  EXPECT_NE(get("/").body.find("Waiting for a search"), std::string::npos);
  write_study();
  eventually("/", "9 of 9 trials");
  const std::string page = get("/").body;
  EXPECT_NE(page.find("images:photos &amp; &lt;more&gt;"), std::string::npos);
  EXPECT_EQ(page.find("<more>"), std::string::npos);
  // A search begins.
  study_->say("running", 1, unix_seconds(),
              {{{"name", "teacher"}, {"done", 3}, {"total", 12}, {"note", "loss <0.4>"}}});
  const std::string now = eventually("/section?name=now", "teacher");
  EXPECT_NE(now.find("25%"), std::string::npos);
  EXPECT_NE(now.find("loss &lt;0.4&gt;"), std::string::npos);
  EXPECT_NE(get("/section?name=status").body.find("Running"), std::string::npos);
  // A trial runs, on another machine.
  const study::Claim claim = study_->begin("2 blocks, <b>1</b> layer", "other:/tmp/w");
  study_->storage().put_values(claim, std::vector<study::IntermediateValue>{{1, 0.25}, {2, 0.5}});
  const std::string runs = eventually("/section?name=now", "other:/tmp/w");
  EXPECT_NE(runs.find("2 blocks, &lt;b&gt;1&lt;/b&gt; layer"), std::string::npos);
  EXPECT_NE(runs.find("stroke-width=\"2\""), std::string::npos) << "its curve";
  // It ends.
  search::TrialResult result = sample_study(1, 0).trials[0];
  study_->end(claim, result);
  eventually("/trials", "10 of 10 trials");
  study_->say("done", 2, unix_seconds());
  eventually("/section?name=status", "Finished");
  EXPECT_EQ(get("/section?name=now").body, "");
}

TEST_F(LiveServerTest, LeadsToItsSections) {
  write_study();
  start();
  const std::string page = eventually("/", "9 of 9 trials");
  const size_t begin = page.find("<nav aria-label=Contents>");
  ASSERT_NE(begin, std::string::npos);
  const std::string ways = page.substr(begin, page.find("</nav>", begin) - begin);
  for (const char* id : {"front", "trials", "progress", "stages", "top", "models", "use", "settings"}) {
    EXPECT_NE(ways.find(std::string("href='#") + id + "'"), std::string::npos) << id;
    EXPECT_EQ(count(page, std::string("<section id=") + id + ">"), 1U) << id;
  }
  EXPECT_EQ(ways.find("#now"), std::string::npos) << "nothing runs";
  EXPECT_LT(page.find("<section id=front>"), page.find("<section id=trials>"));
}

TEST_F(LiveServerTest, TheStatusIsTrueToWhatIsStored) {
  write_study();
  study_->storage().add_trials(9, std::vector<study::NewTrial>(2));
  start();
  const std::string stored = get("/section?name=status").body;
  EXPECT_NE(stored.find(">Stored<"), std::string::npos) << stored;
  EXPECT_EQ(stored.find("Not begun"), std::string::npos);
  // It has finished, and what it had no time for waits for more.
  study_->say("done", 1, unix_seconds());
  const std::string done = eventually("/section?name=status", "Finished");
  EXPECT_NE(done.find(", 2 left out for lack of time"), std::string::npos) << done;
  EXPECT_EQ(done.find("waiting"), std::string::npos) << done;
}

TEST_F(LiveServerTest, ASearchThatFellSilentIsToldOf) {
  write_study();
  study_->say("running", 1, unix_seconds() - 3600);
  start();
  EXPECT_NE(get("/section?name=status").body.find("has said nothing for"), std::string::npos);
}

TEST_F(LiveServerTest, SortsAndFiltersTrials) {
  write_study();
  start();
  EXPECT_EQ(order(""), (std::vector<int>{0, 1, 2, 3, 4, 5, 6, 7, 8}));
  EXPECT_EQ(order("?sort=flash&order=desc&outcome=complete"), (std::vector<int>{5, 4, 3, 2, 1, 0}));
  // Those without an accuracy stand last either way.
  const std::vector<int> best_first = order("?sort=accuracy&order=desc");
  const std::vector<int> worst_first = order("?sort=accuracy&order=asc");
  EXPECT_EQ(best_first[0], 5);
  EXPECT_EQ(worst_first[0], 0);
  for (const auto& numbers : {best_first, worst_first})
    EXPECT_EQ(std::vector<int>(numbers.end() - 3, numbers.end()), (std::vector<int>{6, 7, 8}));
  EXPECT_EQ(order("?text=17%20FILTERS"), (std::vector<int>{1}));
  EXPECT_EQ(order("?text=gate&outcome=skipped"), (std::vector<int>{6, 7, 8}));
  EXPECT_EQ(order("?outcome=failed"), std::vector<int>{});
  EXPECT_EQ(order("?effort=explore"), std::vector<int>{});
  // What is unknown is left out.
  EXPECT_EQ(order("?sort=network&order=up&outcome=x&effort='&from=-1"), order(""));
  EXPECT_EQ(order("?from=9999999"), order(""));
  const std::string hostile = get("/?text=%22%27%3E%3Cscript%3Ealert(1)%3C/script%3E&sort=%3Cb%3E").body;
  EXPECT_EQ(hostile.find("<script>"), std::string::npos);
  EXPECT_NE(hostile.find("&quot;&#39;&gt;&lt;script&gt;"), std::string::npos);
  EXPECT_NE(hostile.find("0 of 9 trials"), std::string::npos);
}

TEST_F(LiveServerTest, ShowsATrial) {
  write_study();
  start();
  const std::string page = get("/trial?number=5").body;
  EXPECT_NE(page.find("<h1>Trial 5</h1>"), std::string::npos);
  EXPECT_NE(page.find("quantize"), std::string::npos);
  EXPECT_NE(page.find(">Conv2D 16, Dense 10<"), std::string::npos) << "the structure in words";
  EXPECT_NE(page.find("<svg"), std::string::npos);
  for (const char* number : {"", "9", "-1", "1x", "99999999999999999999", "%00"})
    EXPECT_EQ(get(std::string("/trial?number=") + number).status, 404) << number;
  EXPECT_EQ(get("/section?name=secret").status, 404);
}

TEST_F(LiveServerTest, CutsLongTablesIntoPages) {
  study_ = std::make_unique<LiveStudy>(folder_.path());
  search::StudyResult sample = sample_study(1, 0);
  study_->describe(sample);
  for (int i = 0; i < 230; ++i) study_->add(sample.trials[0]);
  start();
  EXPECT_EQ(order("").size(), 25U);
  EXPECT_EQ(order("?from=100").front(), 100);
  EXPECT_EQ(order("?from=225").size(), 5U);
  EXPECT_EQ(order("?from=207").front(), 200);
  EXPECT_EQ(order("?from=5000").front(), 225);
  const std::string body = get("/trials?from=100&sort=flash").body;
  EXPECT_NE(body.find("id=page-before href='?sort=flash&amp;order=asc&amp;from=75'"), std::string::npos);
  EXPECT_NE(body.find("id=page-next href='?sort=flash&amp;order=asc&amp;from=125'"), std::string::npos);
}

// Names that somebody wrote into the study lead nowhere: it is refused, and the page says so.
TEST_F(LiveServerTest, HandsOutNoFileThatAStudyNamesOutsideOfItsFolder) {
  const TemporaryFolder elsewhere;
  write_text_atomic(elsewhere.path() / "secret", "secret words");
  const std::string beside = "../" + elsewhere.path().filename().string() + "/secret";
  const std::string absolute = (elsewhere.path() / "secret").string();
  study_ = std::make_unique<LiveStudy>(folder_.path());
  search::StudyResult sample = sample_study(6, 0);
  sample.trials[0].file = beside;
  sample.trials[1].file = absolute;
  sample.trials[2].file = "trials/../secret";
  study_->describe(sample);
  for (const search::TrialResult& trial : sample.trials) study_->add(trial);
  study_->finish(sample);
  start();
  for (const std::string& path : {beside, absolute, std::string("trials/../secret")}) {
    const httplib::Response answer = get("/files/" + path);
    EXPECT_EQ(answer.status, 404) << path;
    EXPECT_EQ(answer.body.find("secret words"), std::string::npos) << path;
  }
  EXPECT_NE(get("/").body.find("which is not in the study"), std::string::npos) << get("/").body;
}

TEST_F(LiveServerTest, HandsOutTheFilesThatItLinksToAndNoOther) {
  const TemporaryFolder elsewhere;
  write_text_atomic(elsewhere.path() / "secret", "secret words");
  write_text_atomic(folder_.path() / "secret", "secret words");
  write_text_atomic(folder_.path() / "report.html", "<p>report");
  write_text_atomic(folder_.path() / "first-b.tflite", "model");
  fs::create_symlink(elsewhere.path() / "secret", folder_.path() / "second-b.tflite");
  study_ = std::make_unique<LiveStudy>(folder_.path());
  search::StudyResult sample = sample_study(6, 0);
  study_->describe(sample);
  for (const search::TrialResult& trial : sample.trials) study_->add(trial);
  sample.finalists[1].runs[0].file = ".";
  study_->finish(sample);
  start();
  const httplib::Response model = get("/files/first-b.tflite");
  EXPECT_EQ(model.body, "model");
  EXPECT_EQ(model.get_header_value("Content-Disposition"), "attachment; filename=\"first-b.tflite\"");
  EXPECT_EQ(model.get_header_value("Content-Type"), "application/octet-stream");
  EXPECT_EQ(get("/files/report.html").body, "<p>report");
  EXPECT_NE(get("/").body.find("href='files/report.html'"), std::string::npos);
  for (const std::string path :
       {"secret", "study.db", "..%2Fsecret", "../secret", "%2e%2e/secret", "/etc/passwd", "%2Fetc%2Fpasswd",
        "", ".", "..", "second-b.tflite", "report.html%00", "report.html/", "./report.html",
        "best/model.tflite", "%5c..%5csecret", "trials/../secret"}) {
    const httplib::Response answer = get("/files/" + path);
    EXPECT_EQ(answer.status, 404) << path;
    EXPECT_EQ(answer.body.find("secret words"), std::string::npos) << path;
  }
  // As a path alone, without a client that would tidy it up.
  Wire wire(server_->port());
  wire.send("GET /files/../../../../etc/passwd HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n");
  EXPECT_NE(wire.read().find(" 404 "), std::string::npos);
}

TEST_F(LiveServerTest, EveryAnswerTellsBrowsersToBeCareful) {
  write_study();
  start({.token = kToken});
  const httplib::Headers known = {{"Authorization", std::string("Bearer ") + kToken}};
  for (const auto& [path, status] : {std::pair{"/", 200},
                                     {"/live.js", 200},
                                     {"/live.css", 200},
                                     {"/trial?number=1", 200},
                                     {"/nothing", 404},
                                     {"/stop", 405},
                                     {"/files/report.html", 404}}) {
    const httplib::Response answer = get(path, known);
    EXPECT_EQ(answer.status, status) << path;
    EXPECT_EQ(answer.get_header_value_count("Content-Security-Policy"), 1U) << path;
    const std::string policy = answer.get_header_value("Content-Security-Policy");
    EXPECT_EQ(policy.find("default-src 'none'; script-src 'self'; "), 0U) << path;
    EXPECT_NE(policy.find("frame-ancestors 'none'"), std::string::npos) << path;
    EXPECT_EQ(answer.get_header_value("X-Content-Type-Options"), "nosniff") << path;
    EXPECT_EQ(answer.get_header_value("Cache-Control"), "no-store") << path;
    EXPECT_EQ(answer.get_header_value("Cross-Origin-Resource-Policy"), "same-origin") << path;
    EXPECT_FALSE(answer.has_header("Access-Control-Allow-Origin")) << path;
  }
  EXPECT_EQ(get("/").get_header_value("X-Frame-Options"), "DENY") << "one that is refused too";
  // No scripts but its own: nothing in the page needs another.
  const std::string page = get("/", known).body;
  EXPECT_EQ(page.find("<script>"), std::string::npos);
  EXPECT_EQ(page.find(" onclick"), std::string::npos);
}

TEST_F(LiveServerTest, AnswersToItsOwnNamesAlone) {
  write_study();
  start();
  client_->set_default_headers({{"Host", "evil.example"}});
  EXPECT_EQ(get("/").status, 421);
  EXPECT_EQ(get("/events").status, 421);
  client_->set_default_headers({{"Host", "localhost:1234"}});
  EXPECT_EQ(get("/").status, 200);
}

TEST_F(LiveServerTest, ATokenIsNeededWhereThereIsOne) {
  write_study();
  write_text_atomic(folder_.path() / "report.html", "report");
  start({.token = kToken});
  for (const char* path :
       {"/", "/trials", "/trial?number=1", "/section?name=status", "/events", "/files/report.html"}) {
    const httplib::Response answer = get(path);
    EXPECT_EQ(answer.status, 401) << path;
    EXPECT_EQ(answer.body.find("blocks"), std::string::npos) << path;
  }
  EXPECT_NE(get("/").body.find("<form id=login"), std::string::npos);
  EXPECT_EQ(get("/", {{"Authorization", "Bearer wrong"}}).status, 401);
  EXPECT_EQ(get(std::string("/?token=") + kToken).status, 401) << "addresses are logged";
  EXPECT_EQ(client_->Post("/login", "token=wrong", "application/x-www-form-urlencoded")->status, 403);
  EXPECT_EQ(client_->Post("/login", "", "application/x-www-form-urlencoded")->status, 403);
  const auto login =
      client_->Post("/login", std::string("token=") + kToken, "application/x-www-form-urlencoded");
  EXPECT_EQ(login->status, 303);
  EXPECT_EQ(login->get_header_value("Location"), "./");
  const std::string given = login->get_header_value("Set-Cookie");
  const httplib::Headers cookie = {{"Cookie", given.substr(0, given.find(';'))}};
  EXPECT_EQ(get("/", cookie).status, 200);
  EXPECT_EQ(get("/files/report.html", cookie).body, "report");
  // Another site's page may send the cookie of a careless browser, and changes nothing.
  EXPECT_EQ(client_->Post("/stop", {{"Cookie", given}, {"Origin", "http://evil.example"}}, "", "text/plain")
                ->status,
            403);
  // A server that was started anew knows the cookie.
  stop();
  start({.token = kToken});
  EXPECT_EQ(get("/", cookie).status, 200);
}

TEST_F(LiveServerTest, OthersReachItWithATokenAlone) {
  EXPECT_THROW(LiveServer({.folder = folder_.path(), .address = "0.0.0.0"}), Error);
  EXPECT_THROW(LiveServer({.folder = folder_.path(), .control = Control::Allowed}), Error);
  EXPECT_THROW(LiveServer({.folder = folder_.path(), .token = "short"}), Error);
  const LiveServer allowed({.folder = folder_.path(), .address = "0.0.0.0", .token = kToken});
}

TEST_F(LiveServerTest, IsReadOnlyUnlessTold) {
  write_study();
  study_->say("running", 1, unix_seconds());
  start();
  EXPECT_EQ(client_->Post("/stop", "", "text/plain")->status, 403);
  EXPECT_EQ(client_->Post("/resume", "", "text/plain")->status, 403);
  EXPECT_EQ(client_->Post("/", "", "text/plain")->status, 404);
  EXPECT_EQ(get("/").body.find("action=stop"), std::string::npos);
  EXPECT_EQ(study_->storage().document(search::kRequestKey), std::nullopt);
}

TEST_F(LiveServerTest, StopsAndResumes) {
  write_study();
  study_->say("running", 1, unix_seconds());
  int resumed = 0;
  start({.token = kToken,
         .control = Control::Allowed,
         .resume = [&] { ++resumed; },
         .notice = [] { return "A <notice>."; }});
  EXPECT_EQ(client_->Post("/stop", "", "text/plain")->status, 401);
  client_->set_default_headers({{"Authorization", std::string("Bearer ") + kToken}, {"Host", "localhost"}});
  EXPECT_EQ(get("/stop").status, 405) << "a link changes nothing";
  EXPECT_EQ(client_->Post("/stop", {{"Origin", "http://evil.example"}}, "", "text/plain")->status, 403);
  EXPECT_EQ(study_->storage().document(search::kRequestKey), std::nullopt);
  EXPECT_NE(get("/").body.find("action=stop"), std::string::npos);
  EXPECT_NE(get("/").body.find("A &lt;notice&gt;."), std::string::npos);
  EXPECT_EQ(client_->Post("/resume", "", "text/plain")->status, 409);
  EXPECT_EQ(client_->Post("/stop", "", "text/plain")->status, 303);
  EXPECT_EQ(study_->storage().document(search::kRequestKey), R"({"stop":"run-1"})");
  study_->say("stopped", 2, unix_seconds());
  eventually("/", "action=resume");
  EXPECT_EQ(client_->Post("/stop", "", "text/plain")->status, 409);
  EXPECT_EQ(resumed, 0);
  EXPECT_EQ(client_->Post("/resume", "", "text/plain")->status, 303);
  EXPECT_EQ(resumed, 1);
}

TEST_F(LiveServerTest, TellsOfChangesAsTheyCome) {
  write_study();
  start();
  // The id and the versions of an event.
  const auto event_of = [](const std::string& text) {
    const size_t id = text.rfind("\nid: ") + 5;
    const size_t data = text.rfind("\ndata: ") + 7;
    return std::pair{text.substr(id, text.find('\n', id) - id),
                     Json::parse(text.substr(data, text.find('\n', data) - data))};
  };
  Wire reader(server_->port());
  reader.send("GET /events HTTP/1.1\r\nHost: localhost\r\n\r\n");
  const auto [first_id, first] = event_of(reader.read("}\n\n"));
  EXPECT_NE(reader.read("}\n\n").find("Content-Type: text/event-stream"), std::string::npos);
  EXPECT_EQ(get("/section?name=summary").get_header_value("Retort-Version"),
            first.at("summary").get<std::string>());
  EXPECT_EQ(get("/trials?sort=flash").get_header_value("Retort-Version"),
            first.at("trials").get<std::string>());
  search::TrialResult trial = sample_study(1, 0).trials[0];
  trial.seconds = 99;
  study_->add(trial);
  const std::string text = reader.read("\"trials\":\"" + get("/trials").get_header_value("Retort-Version"));
  eventually("/trials", "10 of 10 trials");
  const std::string id_now = [&] {
    Wire other(server_->port());
    other.send("GET /events HTTP/1.1\r\nHost: localhost\r\n\r\n");
    return event_of(other.read("}\n\n")).first;
  }();
  EXPECT_NE(id_now, first_id);
  // Who comes back and has missed nothing is told nothing, even by a server that was started anew.
  stop();
  start();
  Wire again(server_->port());
  again.send("GET /events HTTP/1.1\r\nHost: localhost\r\nLast-Event-ID: " + id_now + "\r\n\r\n");
  const std::string quiet = again.read(": still here");
  EXPECT_EQ(quiet.find("\ndata: "), std::string::npos) << quiet;
  Wire late(server_->port());
  late.send("GET /events HTTP/1.1\r\nHost: localhost\r\nLast-Event-ID: " + first_id + "\r\n\r\n");
  EXPECT_EQ(event_of(late.read("}\n\n")).first, id_now);
}

// As that of `retort search --serve` when the search ends: readers have the last state before the server goes.
TEST_F(LiveServerTest, TellsOpenPagesOfItsEnd) {
  write_study();
  study_->say("running", 1, unix_seconds());
  start();
  const auto begun = std::chrono::steady_clock::now();
  server_->end(std::chrono::minutes(10));  // nobody reads
  EXPECT_LT(std::chrono::steady_clock::now() - begun, std::chrono::minutes(5));
  Wire reader(server_->port());
  reader.send("GET /events HTTP/1.1\r\nHost: localhost\r\n\r\n");
  reader.read("}\n\n");
  study_->say("done", 2, unix_seconds());
  server_->end(std::chrono::minutes(10));
  const std::string text = reader.read("event: end");
  const size_t view = text.find("event: view");
  ASSERT_NE(view, std::string::npos) << text;
  EXPECT_LT(view, text.find("event: end"));
  EXPECT_NE(get("/").body.find("Finished"), std::string::npos);
}

// Every file that the page leads to can be had from there.
TEST_F(LiveServerTest, LinksLeadSomewhere) {
  study_ = std::make_unique<LiveStudy>(folder_.path());
  search::StudyResult sample = sample_study(6, 3);
  for (search::TrialResult& trial : sample.trials) {
    trial.file = fmt::format("trials/{}/model.tflite", trial.number);
    write_text_atomic(folder_.path() / trial.file, "model");
  }
  int run = 0;
  for (search::Finalist& finalist : sample.finalists)
    for (search::FinalistRun& seed : finalist.runs) {
      seed.file = fmt::format("trials/{}/seed-{}/model.tflite", finalist.trial, ++run);
      write_text_atomic(folder_.path() / seed.file, "model");
    }
  study_->describe(sample);
  for (const search::TrialResult& trial : sample.trials) study_->add(trial);
  study_->finish(sample);
  for (const char* file : {"best/model.tflite", "best/model.json", "report.html", "trials.csv", "study.json"})
    write_text_atomic(folder_.path() / file, "file");
  start();
  const std::string page = get("/").body;
  const std::regex link("href='([^'#]+)'");
  int files = 0;
  for (std::sregex_iterator found(page.begin(), page.end(), link), end; found != end; ++found) {
    const std::string address = (*found)[1];
    if (address.starts_with("data:")) continue;
    files += address.starts_with("files/") ? 1 : 0;
    EXPECT_EQ(get("/" + std::regex_replace(address, std::regex("&amp;"), "&")).status, 200) << address;
  }
  EXPECT_GT(files, 3);
}

TEST_F(LiveServerTest, ReadersWithoutEndLeaveRoomForOthers) {
  write_study();
  start();
  std::vector<std::unique_ptr<Wire>> readers;
  for (int i = 0; i < 24; ++i) {
    readers.push_back(std::make_unique<Wire>(server_->port()));
    readers.back()->send("GET /events HTTP/1.1\r\nHost: localhost\r\n\r\n");
    readers.back()->read("}\n\n");
  }
  EXPECT_EQ(get("/events").status, 503);
  EXPECT_EQ(get("/").status, 200);
  readers.pop_back();
  Wire next(server_->port());
  std::string answer;
  do {  // the server sees within a second that one has gone
    Wire wire(server_->port());
    wire.send("GET /events HTTP/1.1\r\nHost: localhost\r\n\r\n");
    answer = wire.read("\r\n");
  } while (answer.find(" 503 ") != std::string::npos);
  EXPECT_NE(answer.find(" 200 "), std::string::npos);
}

TEST_F(LiveServerTest, ADamagedStudyIsToldOf) {
  write_text_atomic(folder_.path() / "study.db",
                    "this is no database at all, and long enough to be told so by SQLite");
  start();
  const httplib::Response page = get("/");
  EXPECT_EQ(page.status, 200);
  EXPECT_NE(page.body.find("not a study"), std::string::npos) << page.body;
}

}  // namespace
}  // namespace retort::report
