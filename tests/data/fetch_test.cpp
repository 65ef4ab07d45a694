#include "data/fetch.h"

#include <archive.h>
#include <archive_entry.h>
#include <gtest/gtest.h>
#include <unistd.h>

#include <chrono>
#include <cstdio>
#include <cstdlib>
#include <fstream>
#include <iterator>
#include <memory>
#include <utility>

#include "base/file.h"
#include "data/fixtures.h"
#include "data/unpack.h"

namespace retort::data {
namespace {

namespace fs = std::filesystem;

// The sentence that `action` ends with.
template <typename Action>
std::string failure(const Action& action) {
  try {
    action();
  } catch (const Error& error) {
    return error.what();
  }
  return "no error";
}

std::vector<uint8_t> bytes_of(std::string_view text) {
  return {text.begin(), text.end()};
}

struct Entry {
  std::string name;
  std::vector<uint8_t> bytes;
  decltype(AE_IFREG) type = AE_IFREG;
  std::string target = {};  // of a link
};

std::vector<uint8_t> tar_gz(const std::vector<Entry>& entries) {
  std::vector<uint8_t> file(8 << 20);
  size_t used = 0;
  const std::unique_ptr<archive, int (*)(archive*)> writer(archive_write_new(), archive_write_free);
  archive_write_add_filter_gzip(writer.get());
  archive_write_set_format_pax_restricted(writer.get());
  archive_write_open_memory(writer.get(), file.data(), file.size(), &used);
  for (const Entry& one : entries) {
    const std::unique_ptr<archive_entry, void (*)(archive_entry*)> entry(archive_entry_new(),
                                                                         archive_entry_free);
    archive_entry_set_pathname(entry.get(), one.name.c_str());
    archive_entry_set_filetype(entry.get(), one.type);
    archive_entry_set_perm(entry.get(), 0755);
    archive_entry_set_size(entry.get(), static_cast<la_int64_t>(one.bytes.size()));
    if (one.type == AE_IFLNK) archive_entry_set_symlink(entry.get(), one.target.c_str());
    if (one.type == AE_IFREG && !one.target.empty())
      archive_entry_set_hardlink(entry.get(), one.target.c_str());
    archive_write_header(writer.get(), entry.get());
    archive_write_data(writer.get(), one.bytes.data(), one.bytes.size());
  }
  archive_write_close(writer.get());
  file.resize(used);
  return file;
}

class Unpack : public testing::Test {
 protected:
  // What unpacking these entries ends with; afterwards the folder has nothing but the archive, unless it went well.
  std::string result(const std::vector<Entry>& entries,
                     UnpackLimits limits = {.bytes = 1000, .entries = 10}) {
    write_bytes(folder_ / "a.tar.gz", tar_gz(entries));
    const std::string sentence =
        usage_error([&] { unpack(folder_ / "a.tar.gz", folder_.path(), limits, silent_progress()); });
    if (sentence != "no error") {
      EXPECT_EQ(std::distance(fs::directory_iterator(folder_.path()), {}), 1) << sentence;
    }
    return sentence.starts_with(folder_.at("a.tar.gz: ")) ? sentence.substr(folder_.at("a.tar.gz: ").size())
                                                          : sentence;
  }
  TestFolder folder_;
};

TEST_F(Unpack, FilesAndFolders) {
  EXPECT_EQ(result({{"top/", {}, AE_IFDIR},
                    {"top/a", bytes_of("one")},
                    {"top/deep/er/b", bytes_of("two")},
                    {"c", {}}}),
            "no error");
  EXPECT_EQ(read_text(folder_ / "top/a"), "one");
  EXPECT_EQ(read_text(folder_ / "top/deep/er/b"), "two");
  EXPECT_TRUE(fs::exists(folder_ / "c"));
  EXPECT_EQ(std::distance(fs::directory_iterator(folder_.path()), {}), 3);
  // Again, over what is there.
  EXPECT_EQ(result({{"top/a", bytes_of("new")}}), "no error");
  EXPECT_EQ(read_text(folder_ / "top/a"), "new");
  EXPECT_EQ(read_text(folder_ / "top/deep/er/b"), "two") << "what the archive does not hold stays";
}

TEST_F(Unpack, ReplacesNoFolderAndGoesThroughNoLink) {
  const auto refusal = [&] {
    return failure([&] { unpack(folder_ / "a.tar.gz", folder_.path(), {.bytes = 1000}, silent_progress()); });
  };
  write_bytes(folder_ / "a.tar.gz", tar_gz({{"first", {}}, {"top/a", bytes_of("one")}}));
  write_text_atomic(folder_ / "top/a/mine", "mine");
  EXPECT_EQ(refusal(), folder_.at("top/a: is a folder in a file's place: remove it, or name another folder"));
  EXPECT_EQ(read_text(folder_ / "top/a/mine"), "mine");
  fs::rename(folder_ / "top", folder_ / "elsewhere");
  fs::create_directory_symlink(folder_ / "elsewhere", folder_ / "top");
  EXPECT_TRUE(refusal().starts_with(folder_.at("top: is a link"))) << refusal();
  fs::remove(folder_ / "top");
  write_text_atomic(folder_ / "top", "mine");
  EXPECT_TRUE(refusal().starts_with(folder_.at("top: cannot be made: "))) << refusal();
  EXPECT_EQ(read_text(folder_ / "top"), "mine");
  EXPECT_FALSE(fs::exists(folder_ / "first")) << "all or nothing";
  fs::remove(folder_ / "top");
  write_text_atomic(folder_ / "victim", "precious");
  fs::create_directory(folder_ / "top");
  fs::create_symlink(folder_ / "victim", folder_ / "top/a");
  EXPECT_EQ(refusal(), "no error");
  EXPECT_EQ(read_text(folder_ / "victim"), "precious");
  EXPECT_EQ(read_text(folder_ / "top/a"), "one");
}

TEST_F(Unpack, WhatAKilledOneLeftGoesWhenItIsOld) {
  const fs::path stale = folder_ / ".retort-0.tmp";
  const fs::path fresh = folder_ / ".retort-1.tmp";
  for (const fs::path& left : {stale, fresh}) write_text_atomic(left / "half", "an archive");
  fs::last_write_time(stale, fs::file_time_type::clock::now() - std::chrono::hours(2));
  EXPECT_EQ(result({{"a", {}}}), "no error");
  EXPECT_FALSE(fs::exists(stale));
  EXPECT_TRUE(fs::exists(fresh));
}

TEST_F(Unpack, RefusesWhatLeadsElsewhere) {
  EXPECT_EQ(result({{"a", {}}, {"/etc/x", {}}}),
            "holds \"/etc/x\", which is no name below a folder; nothing is unpacked");
  EXPECT_EQ(result({{"a/../../x", bytes_of("x")}}),
            "holds \"a/../../x\", which leads out of the folder; nothing is unpacked");
  EXPECT_FALSE(fs::exists(folder_.path().parent_path() / "x"));
  EXPECT_EQ(result({{"link", {}, AE_IFLNK, "/tmp"}, {"link/x", bytes_of("x")}}),
            "holds \"link\", which is neither a file nor a folder; nothing is unpacked");
  EXPECT_EQ(result({{"a", {}}, {"b", {}, AE_IFREG, "a"}}),
            "holds \"b\", which is neither a file nor a folder; nothing is unpacked");
  EXPECT_EQ(result({{"pipe", {}, AE_IFIFO}}),
            "holds \"pipe\", which is neither a file nor a folder; nothing is unpacked");
  EXPECT_EQ(result({{"a", {}}, {"a", {}}}), "holds a twice");
}

TEST_F(Unpack, RefusesFoldersThatCannotBe) {
  EXPECT_EQ(result({{"a", {}}, {"a/b", {}}}),
            "holds \"a/b\", for which no folder can be made: Not a directory; nothing is unpacked");
  EXPECT_EQ(result({{"a", {}}, {"a", {}, AE_IFDIR}}),
            "holds \"a/\", for which no folder can be made: File exists; nothing is unpacked");
  const std::string name = std::string(300, 'a') + "/b";
  EXPECT_EQ(
      result({{name, {}}}),
      "holds \"" + name + "\", for which no folder can be made: File name too long; nothing is unpacked");
}

TEST_F(Unpack, RefusesTooMuch) {
  EXPECT_EQ(result({{"a", std::vector<uint8_t>(600)}, {"b", std::vector<uint8_t>(600)}}),
            "holds more than the 1000 B that are expected; nothing is unpacked");
  EXPECT_EQ(result(std::vector<Entry>(11, {"d", {}, AE_IFDIR})), "has more than 10 entries");
}

TEST_F(Unpack, RefusesBrokenArchives) {
  Rng rng(3);
  std::vector<uint8_t> file = tar_gz({{"a", random_bytes(100000, rng)}});
  file.resize(file.size() / 2);
  write_bytes(folder_ / "half", file);
  write_bytes(folder_ / "text", bytes_of("no archive at all, only words"));
  const UnpackLimits limits{.bytes = 1 << 20};
  for (const char* name : {"half", "text"})
    EXPECT_TRUE(usage_error([&] {
                  unpack(folder_ / name, folder_.path(), limits, silent_progress());
                }).starts_with(folder_.at(name) + ": is a broken archive: "));
  EXPECT_EQ(std::distance(fs::directory_iterator(folder_.path()), {}), 2);
}

// A server of our own, of a certificate that only its own file vouches for.
class Server {
 public:
  explicit Server(const fs::path& folder) : folder_(folder) {
    const std::string make = fmt::format(
        "openssl req -x509 -newkey ec -pkeyopt ec_paramgen_curve:P-256 -nodes -days 2 -subj /CN=localhost "
        "-addext subjectAltName=DNS:localhost -keyout '{0}/key' -out '{0}/certificate' 2>/dev/null",
        folder.string());
    if (std::system(make.c_str()) != 0) return;
    const std::string script = (fs::path(RETORT_SOURCE_DIR) / "tests/data/fetch_server.py").string();
    // It stops when this pipe, its standard input, is closed.
    const std::string run = fmt::format(
        "python3 '{0}' '{1}' '{1}/certificate' '{1}/key' >'{1}/port' 2>/dev/null", script, folder.string());
    pipe_ = ::popen(run.c_str(), "we");
    for (int i = 0; i < 500 && port_.empty(); ++i) {
      std::ifstream(folder / "port") >> port_;
      if (port_.empty()) ::usleep(20'000);
    }
  }
  ~Server() {
    if (pipe_ != nullptr) ::pclose(pipe_);
  }
  Server(const Server&) = delete;
  Server& operator=(const Server&) = delete;
  [[nodiscard]] bool runs() const { return !port_.empty(); }
  [[nodiscard]] std::string base(std::string_view way) const {
    return fmt::format("https://localhost:{}/{}", port_, way);
  }
  [[nodiscard]] std::vector<std::string> log() const {
    std::vector<std::string> lines;
    std::ifstream file(folder_ / "log");
    for (std::string line; std::getline(file, line);) lines.push_back(line);
    return lines;
  }

 private:
  fs::path folder_;
  std::string port_;
  FILE* pipe_ = nullptr;
};

class Fetch : public testing::Test {
 protected:
  void SetUp() override {
    fs::create_directories(folder_ / "server");
    fs::create_directories(folder_ / "here");
    server_ = std::make_unique<Server>(folder_ / "server");
    if (!server_->runs()) GTEST_SKIP() << "python3 and openssl are needed for a server";
    options_.ca_file = folder_ / "server/certificate";
    options_.first_pause_seconds = 0.01;
    content_ = random_bytes(100'000, rng_);
    write_bytes(folder_ / "server/file", content_);
    file_ = {"file", static_cast<int64_t>(content_.size()), sha256_hex(content_)};
  }
  [[nodiscard]] std::string get(std::string_view way) const {
    return failure(
        [&] { download(server_->base(way), file_, folder_ / "here", options_, silent_progress()); });
  }
  [[nodiscard]] bool is_here() const {
    return fs::exists(folder_ / "here/file") && read_file(folder_ / "here/file") == content_ &&
           !fs::exists(folder_ / "here/file.part");
  }

  TestFolder folder_;
  Rng rng_{11};
  std::unique_ptr<Server> server_;
  DownloadOptions options_;
  std::vector<uint8_t> content_;
  RemoteFile file_;
};

TEST_F(Fetch, GetsAFileOnce) {
  EXPECT_EQ(get("good"), "no error");
  EXPECT_TRUE(is_here());
  EXPECT_EQ(get("good"), "no error");
  EXPECT_EQ(server_->log(), std::vector<std::string>{"/good/file -"});
  fs::remove(folder_ / "here/file");
  EXPECT_EQ(get("moved"), "no error");
  EXPECT_TRUE(is_here());
}

TEST_F(Fetch, GoesOnAfterACutConnection) {
  EXPECT_EQ(get("cut"), "no error");
  EXPECT_TRUE(is_here());
  EXPECT_EQ(server_->log(),
            (std::vector<std::string>{"/cut/file -", "/cut/file bytes=40000-", "/cut/file bytes=80000-"}));
}

TEST_F(Fetch, GoesOnWithWhatAnEarlierRunLeft) {
  write_bytes(folder_ / "here/file.part", std::span(content_).first(70'000));
  EXPECT_EQ(get("good"), "no error");
  EXPECT_TRUE(is_here());
  EXPECT_EQ(server_->log(), std::vector<std::string>{"/good/file bytes=70000-"});
}

TEST_F(Fetch, BeginsAnewWhereItCannotGoOn) {
  // A part of another file, one that is too long, and a server that knows no ranges.
  write_bytes(folder_ / "here/file.part", random_bytes(70'000, rng_));
  EXPECT_EQ(get("good"), "no error");
  EXPECT_TRUE(is_here());
  fs::remove(folder_ / "here/file");
  write_bytes(folder_ / "here/file.part", random_bytes(200'000, rng_));
  EXPECT_EQ(get("good"), "no error");
  EXPECT_TRUE(is_here());
  fs::remove(folder_ / "here/file");
  write_bytes(folder_ / "here/file.part", std::span(content_).first(70'000));
  EXPECT_EQ(get("deaf"), "no error");
  EXPECT_TRUE(is_here());
}

TEST_F(Fetch, WaitsForABusyServer) {
  EXPECT_EQ(get("busy"), "no error");
  EXPECT_TRUE(is_here());
  EXPECT_EQ(server_->log().size(), 3U);
  options_.attempts = 3;
  fs::remove(folder_ / "here/file");
  EXPECT_TRUE(get("never").starts_with(server_->base("never/file: ")));
  EXPECT_EQ(server_->log().size(), 6U);
  EXPECT_TRUE(get("hopeless").starts_with(server_->base("hopeless/file: ")));
}

TEST_F(Fetch, BelievesNoOtherFile) {
  write_bytes(folder_ / "server/file", random_bytes(content_.size(), rng_));
  const std::string sentence = get("good");
  EXPECT_NE(sentence.find(" has SHA-256 "), std::string::npos) << sentence;
  EXPECT_NE(sentence.find(file_.sha256 + " is published: it is not kept"), std::string::npos) << sentence;
  EXPECT_TRUE(fs::is_empty(folder_ / "here"));
  EXPECT_EQ(get("long"),
            "file: the server sends more than the 100000 bytes that are published, so it is another file");
  EXPECT_FALSE(fs::exists(folder_ / "here/file"));
  write_bytes(folder_ / "here/file", bytes_of("mine"));
  EXPECT_TRUE(get("good").starts_with(
      folder_.at("here/file: is there, but it is not the published file (100000 bytes")));
  EXPECT_EQ(read_text(folder_ / "here/file"), "mine");
}

TEST_F(Fetch, TrustsNeitherStrangersNorPlainHttp) {
  options_.ca_file.clear();
  EXPECT_TRUE(get("good").starts_with(server_->base("good/file: SSL certificate problem")));
  options_.ca_file = folder_ / "server/certificate";
  EXPECT_NE(get("plain").find("not supported"), std::string::npos);
  file_.name = "missing";
  EXPECT_NE(get("good").find("404"), std::string::npos);
  EXPECT_EQ(
      failure([&] { download("http://localhost", file_, folder_ / "here", options_, silent_progress()); }),
      "\"http://localhost\" is not an address that begins with https://");
  EXPECT_FALSE(fs::exists(folder_ / "here/file"));
}

TEST_F(Fetch, OfAFullDiskKeepsWhatHasCome) {
  // /dev/full is no regular file, and a link is not followed: a full disk needs one.
  file_.bytes = int64_t{1} << 60;
  EXPECT_NE(get("good").find(" are needed: make room or name another folder"), std::string::npos);
  const std::string mount =
      fmt::format("mount -t tmpfs -o size=64k none '{}' 2>/dev/null", folder_.at("here"));
  if (std::system(mount.c_str()) != 0) GTEST_SKIP() << "no disk of 64 KB can be mounted";
  // Announced smaller than it is, so that the room seems enough.
  file_.bytes = 60'000;
  content_ = random_bytes(60'000, rng_);
  file_.sha256 = sha256_hex(content_);
  write_bytes(folder_ / "server/file", content_);
  write_bytes(folder_ / "here/other", std::vector<uint8_t>(4000));
  const fs::path filler = folder_ / "here/filler";
  class Filler final : public ProgressSink {  // takes the room away while bytes come
   public:
    explicit Filler(fs::path path) : path_(std::move(path)) {}
    void update(std::string_view, double, double, std::string_view) override {
      if (!fs::exists(path_)) std::ofstream(path_) << std::string(60'000, 'x');
    }
    void message(std::string_view) override {}

   private:
    fs::path path_;
  } progress(filler);
  fs::remove(folder_ / "here/other");
  const std::string sentence =
      failure([&] { download(server_->base("good"), file_, folder_ / "here", options_, progress); });
  EXPECT_EQ(sentence,
            folder_.at("here/file.part: cannot be written: No space left on device; what has come is kept, "
                       "and the same command goes on from there"));
  EXPECT_TRUE(fs::exists(folder_ / "here/file.part"));
  fs::remove(filler);
  EXPECT_EQ(get("good"), "no error");
  EXPECT_TRUE(is_here());
  EXPECT_EQ(std::system(fmt::format("umount '{}'", folder_.at("here")).c_str()), 0);
}

TEST_F(Fetch, StopsWhenProgressSaysSo) {
  class Stop final : public ProgressSink {
    void update(std::string_view, double, double, std::string_view) override {
      throw Error(ErrorCode::Interrupted, "stopped");
    }
    void message(std::string_view) override {}
  } stop;
  EXPECT_EQ(failure([&] { download(server_->base("good"), file_, folder_ / "here", options_, stop); }),
            "stopped");
  EXPECT_EQ(get("good"), "no error");
  EXPECT_TRUE(is_here());
}

TEST_F(Fetch, UnpacksASetAndTriesTheNextAddress) {
  const std::vector<uint8_t> archive = tar_gz({{"inside/a", bytes_of("1")}, {"inside/b", bytes_of("2")}});
  write_bytes(folder_ / "server/set.tar.gz", archive);
  RemoteSet set{.name = "set",
                .format = "images",
                .bases = {server_->base("nowhere/else"), server_->base("good")},
                .files = {{"set.tar.gz", static_cast<int64_t>(archive.size()), sha256_hex(archive)}},
                .contents = {{"inside/a", 1}, {"inside/b", 1}},
                .archive_bytes = 2};
  const fs::path place = folder_ / "new/place";
  fetch(set, place, options_, silent_progress());
  EXPECT_EQ(read_text(place / "inside/b"), "2");
  EXPECT_FALSE(fs::exists(place / "set.tar.gz"));
  const size_t requests = server_->log().size();
  fetch(set, place, options_, silent_progress());
  EXPECT_EQ(server_->log().size(), requests);

  // By hand, where there is no network: the sentence, and what it says to do.
  fs::remove_all(place);
  set.bases = {"https://localhost:1"};
  options_.attempts = 1;
  const std::string sentence = failure([&] { fetch(set, place, options_, silent_progress()); });
  EXPECT_NE(
      sentence.find(fmt::format("; by hand: put set.tar.gz ({} bytes, SHA-256 {}) into {} and run this again",
                                archive.size(), sha256_hex(archive), place.string())),
      std::string::npos)
      << sentence;
  fs::create_directories(place);
  write_bytes(place / "set.tar.gz", archive);
  fetch(set, place, options_, silent_progress());
  EXPECT_EQ(read_text(place / "inside/a"), "1");
}

// Without any network: what lies there is judged before anything is fetched.
TEST(RemoteSets, AreNotTakenForThereByTheNamesOfTheirFiles) {
  const TestFolder folder;
  const auto result = [&](const RemoteSet& set) {
    RemoteSet here = set;
    here.bases = {"https://localhost:1"};
    return failure([&] { fetch(here, folder / set.name, {.attempts = 1}, silent_progress()); });
  };
  for (const RemoteSet& set : remote_sets()) {
    EXPECT_FALSE(set.contents.empty());
    EXPECT_NE(result(set).find("; by hand: put "), std::string::npos) << "an empty folder has nothing of it";
    for (const Content& content : set.contents) {
      const fs::path path = folder / set.name / content.name;
      for (const int64_t bytes : {int64_t{0}, content.bytes - 1, content.bytes + 1}) {
        fs::create_directories(path.parent_path());
        write_bytes(path, {});
        fs::resize_file(path, static_cast<uintmax_t>(bytes));
        EXPECT_EQ(
            result(set),
            fmt::format("{}: is there, but it is not the published file, which has {} bytes: remove it, "
                        "or name another folder",
                        path.string(), content.bytes));
      }
      EXPECT_EQ(fs::file_size(path), static_cast<uintmax_t>(content.bytes + 1)) << "it stays";
      fs::resize_file(path, static_cast<uintmax_t>(content.bytes));
    }
  }
  EXPECT_EQ(result(remote_set("cifar10")), "no error");
  EXPECT_NE(result(remote_set("mnist")).find("; by hand: put "), std::string::npos)
      << "sizes alone do not tell it from Fashion-MNIST";
}

TEST(RemoteSets, FetchedAnewLeaveWhatIsNotTheirs) {
  const TestFolder folder;
  const std::vector<uint8_t> archive = tar_gz({{"inside/a", bytes_of("1")}, {"inside/b", bytes_of("2")}});
  write_text_atomic(folder / "inside/a", "1");
  write_text_atomic(folder / "inside/notes", "mine");
  write_bytes(folder / "set.tar.gz", archive);
  fetch({.name = "set",
         .format = "images",
         .bases = {"https://localhost:1"},
         .files = {{"set.tar.gz", static_cast<int64_t>(archive.size()), sha256_hex(archive)}},
         .contents = {{"inside/a", 1}, {"inside/b", 1}},
         .archive_bytes = 2},
        folder.path(), {}, silent_progress());
  EXPECT_EQ(read_text(folder / "inside/b"), "2");
  EXPECT_EQ(read_text(folder / "inside/notes"), "mine");
}

TEST(RemoteSets, AreWellFormed) {
  for (const RemoteSet& set : remote_sets()) {
    EXPECT_EQ(&remote_set(set.name), &set);
    for (const std::string& base : set.bases) EXPECT_TRUE(base.starts_with("https://"));
    for (const RemoteFile& file : set.files) {
      EXPECT_GT(file.bytes, 0);
      EXPECT_EQ(file.sha256.size(), 64U);
      EXPECT_EQ(file.sha256.find_first_not_of("0123456789abcdef"), std::string::npos);
    }
    EXPECT_EQ(parse_spec(set.format + ":somewhere").directory, "somewhere");
  }
  EXPECT_EQ(usage_error([] { remote_set("imagenet"); }),
            "\"imagenet\" is no data set that can be fetched; known are cifar10, fashion-mnist, mnist");
}

}  // namespace
}  // namespace retort::data
