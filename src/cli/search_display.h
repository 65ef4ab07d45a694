// What a person sees of a running search: on a terminal a panel above the tasks' lines, in a pipe the terminal's plain
// lines alone.
#pragma once

#include <string>
#include <string_view>
#include <vector>

#include "base/progress.h"
#include "cli/search_watch.h"
#include "cli/terminal.h"

namespace retort::cli {

// At most `rows` lines (1 or more): the best alone where there is room for no more, then phase, speed and time, counts,
// and the plot where eight rows are left.
std::vector<std::string> search_lines(const SearchStatus& status, const LineStyle& style, int rows);

// Passes everything on to the terminal, but for what the panel shows already.
class SearchDisplay final : public ProgressSink {
 public:
  SearchDisplay(Terminal& terminal, const search::SearchSettings& settings);
  ~SearchDisplay() override;  // takes the panel away
  SearchDisplay(const SearchDisplay&) = delete;
  SearchDisplay& operator=(const SearchDisplay&) = delete;

  void update(std::string_view task, double done, double total, std::string_view note) override;
  void message(std::string_view text) override;
  void trained(int64_t images) override;

  // What was found so far.
  void changed(const search::StudyResult& study);
  void set_seconds_left(double seconds);

 private:
  Terminal& terminal_;
  SearchWatch watch_;
};

}  // namespace retort::cli
