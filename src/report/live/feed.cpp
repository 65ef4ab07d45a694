#include "report/live/feed.h"

#include <array>
#include <cstdint>
#include <string_view>
#include <utility>

#include "base/file.h"
#include "report/live/files.h"
#include "report/sections.h"
#include "report/study_files.h"

namespace retort::report {
namespace {

namespace fs = std::filesystem;
using search::StudyResult;

constexpr auto kEvery = std::chrono::seconds(1);
// Nobody has asked for so long: nobody looks.
constexpr auto kAttention = std::chrono::seconds(20);

// A report's links lead into itself and to the files beside it; here trials have pages and files a place of their own.
std::string with_links_of_the_page(std::string html) {
  constexpr std::array<std::pair<std::string_view, std::string_view>, 3> kLinks = {
      {{"href='#trial-", "href='trial?number="},
       {"href='best/", "href='files/best/"},
       {"href='trials/", "href='files/trials/"}}};
  for (const auto& [from, to] : kLinks)
    for (size_t at = html.find(from); at != std::string::npos; at = html.find(from, at + to.size()))
      html.replace(at, from.size(), to);
  return html;
}

std::string hash_of(std::string_view text) {
  return sha256_hex({reinterpret_cast<const uint8_t*>(text.data()), text.size()}).substr(0, 16);
}

LiveSection section_of(std::string html) {
  std::string version = hash_of(html);
  return {std::move(html), std::move(version)};
}

// The sections of a report; without a study they are empty but for the heading.
std::map<std::string, LiveSection> draw(const StudyResult* study, const fs::path& folder) {
  const StudyFiles files = study ? load_study_files(*study, folder) : StudyFiles{};
  const search::Analysis* analysis = files.analysis ? &*files.analysis : nullptr;
  std::map<std::string, LiveSection> drawn;
  const auto add = [&](const char* name, const auto& html) {
    drawn[name] = section_of(study ? with_links_of_the_page(html()) : std::string());
  };
  add("summary", [&] { return summary_section(*study); });
  add("front", [&] { return front_section(*study); });
  add("progress", [&] { return progress_section(*study); });
  add("stages", [&] { return stages_section(*study); });
  add("costs", [&] { return costs_section(*study); });
  add("details", [&] { return details_section(*study, files); });
  add("mistakes", [&] { return analysis ? mistakes_section(*study, *analysis) : std::string(); });
  add("labels", [&] { return analysis ? labels_section(*study, *analysis) : std::string(); });
  add("usage", [&] { return usage_section(*study, folder); });
  add("exploration", [&] { return exploration_section(*study); });
  add("settings", [&] { return settings_section(*study); });
  if (!study) drawn["summary"] = section_of("<h1>Retort</h1>");
  return drawn;
}

// The folder as it is called: the way to it is too long for a title.
std::string name_of(const fs::path& folder) {
  std::error_code ignored;
  fs::path path = fs::absolute(folder, ignored).lexically_normal();
  if (!path.has_filename()) path = path.parent_path();
  return path.filename().string();
}

}  // namespace

LiveFeed::LiveFeed(fs::path folder, study::Place place, Control control, std::function<std::string()> notice)
    : watch_(folder, std::move(place)),
      folder_(std::move(folder)),
      control_(control),
      notice_(std::move(notice)),
      thread_([this](const std::stop_token& stop) { run(stop); }) {}

LiveFeed::~LiveFeed() = default;

std::shared_ptr<const LiveView> LiveFeed::make_view(const std::map<std::string, LiveSection>& drawn) const {
  auto view = std::make_shared<LiveView>();
  LiveFacts& facts = view->facts;
  facts = {.folder = name_of(folder_),
           .study = watch_.study(),
           .run = watch_.run(),
           .problem = watch_.problem(),
           .notice = notice_ ? notice_() : std::string(),
           .control = control_};
  if (facts.study)
    for (const std::string& file : files_of(*facts.study)) {
      std::error_code ignored;
      if (fs::is_regular_file(folder_ / file, ignored)) facts.files.push_back(file);
    }
  view->sections = drawn;
  view->sections["status"] = section_of(status_section(facts));
  view->sections["now"] = section_of(now_section(facts));
  view->sections["files"] = section_of(files_section(facts));
  if (facts.study)
    view->trials_version =
        hash_of(fmt::format("{} {} {} {}", facts.study->trials.size(), facts.study->seconds,
                            facts.study->best, facts.study->finalists.size()));
  std::string ways = "<section id=trials>";  // which each reader has
  for (const auto& [name, section] : view->sections) ways += section.html;
  view->sections["contents"] = section_of(contents(ways));
  std::string all = view->trials_version;
  for (const auto& [name, section] : view->sections) all += name + section.version;
  view->version = hash_of(all);
  return view;
}

void LiveFeed::run(const std::stop_token& stop) {
  std::shared_ptr<const StudyResult> study;
  std::map<std::string, LiveSection> drawn = draw(nullptr, folder_);
  while (!stop.stop_requested()) {
    std::shared_ptr<const LiveView> view;
    try {
      watch_.look();
      if (watch_.study() != study) {
        study = watch_.study();
        drawn = draw(study.get(), folder_);
      }
      view = make_view(drawn);
    } catch (const std::exception& error) {  // whatever a file may hold: a search may run in this process
      auto failed = std::make_shared<LiveView>();
      failed->facts = {.folder = name_of(folder_), .problem = error.what(), .control = control_};
      failed->sections = drawn;
      failed->sections["status"] = section_of(status_section(failed->facts));
      failed->version = failed->sections["status"].version;
      view = std::move(failed);
    }
    std::unique_lock lock(mutex_);
    view_ = std::move(view);
    looked_ = Clock::now();
    hurry_ = false;
    changed_.notify_all();
    changed_.wait_for(lock, stop, kEvery, [this] { return hurry_; });
    changed_.wait(lock, stop, [this] { return hurry_ || Clock::now() - asked_ < kAttention; });
  }
}

std::shared_ptr<const LiveView> LiveFeed::latest() {
  constexpr auto kFresh = std::chrono::seconds(3);
  constexpr auto kPatience = std::chrono::seconds(5);
  std::unique_lock lock(mutex_);
  const Clock::time_point now = Clock::now();
  asked_ = now;
  if (!view_ || now - looked_ > kFresh) {
    hurry_ = true;
    changed_.notify_all();
    changed_.wait_for(lock, kPatience, [&] { return view_ && looked_ > now; });
    // The first look at a large study takes as long as it takes.
    changed_.wait(lock, [&] { return view_ != nullptr; });
  }
  return view_;
}

std::shared_ptr<const LiveView> LiveFeed::wait_for_other(const std::string& version,
                                                         std::chrono::milliseconds patience) {
  std::unique_lock lock(mutex_);
  asked_ = Clock::now();
  changed_.notify_all();
  const bool other = changed_.wait_for(lock, patience, [&] { return view_ && view_->version != version; });
  return other ? view_ : nullptr;
}

void LiveFeed::look_now(std::chrono::milliseconds patience) {
  std::unique_lock lock(mutex_);
  // Twice: one that is being made now may not have the newest.
  for (int views = 0; views < 2; ++views) {
    const Clock::time_point before = looked_;
    asked_ = Clock::now();
    hurry_ = true;
    changed_.notify_all();
    if (!changed_.wait_for(lock, patience, [&] { return looked_ > before; })) return;
  }
}

void LiveFeed::look_soon() {
  const std::lock_guard lock(mutex_);
  asked_ = Clock::now();
  hurry_ = true;
  changed_.notify_all();
}

}  // namespace retort::report
