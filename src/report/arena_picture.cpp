#include "report/arena_picture.h"

#include <fmt/format.h>

#include <algorithm>
#include <iterator>
#include <numeric>
#include <string_view>
#include <utility>

#include "base/units.h"
#include "int8/check.h"
#include "report/html.h"

namespace retort::report {
namespace {

// Pixels.
constexpr double kLeft = 78;
constexpr double kRight = 190;
constexpr double kTop = 82;
constexpr double kPlotHeight = 380;
constexpr double kColumn = 34;  // wished for an operator
constexpr double kNarrowest = 640;
constexpr double kWidest = 1600;
constexpr double kThinnest = 1.5;     // side of a box
constexpr double kLetter = 6.5;       // about the width of one at 11 pixels
constexpr size_t kLongestName = 20;   // letters of an operator
constexpr size_t kLongestPlace = 14;  // of it beside the plot
constexpr double kLine = 14;
constexpr double kPad = 8;  // around a text within a box

// Everything is named .arena-…, so that the page around keeps its own looks.
constexpr std::string_view kStyle =
    ".arena{--a-ink:var(--ink,#22222a);--a-muted:var(--muted,#5f5f6b);--a-grid:var(--grid,#e3e3e8);"
    "--a-paper:var(--paper,#fff);--a-activation:#b9d6f6;--a-ends:#bfe5c6;--a-scratch:#fbd38c;"
    "--a-tail:#d9d9e2;--a-peak:#b3261e;--a-glow:#fdeceb}"
    "@media(prefers-color-scheme:dark){.arena{--a-ink:var(--ink,#ececf1);--a-muted:var(--muted,#a9a9b6);"
    "--a-grid:var(--grid,#3a3a44);--a-paper:var(--paper,#18181d);--a-activation:#27527f;--a-ends:#2a5f3d;"
    "--a-scratch:#7c5512;--a-tail:#3d3d49;--a-peak:#ff8a80;--a-glow:#351f20}}"
    ".arena text{fill:var(--a-ink);font-size:11px}.arena .arena-title{font-size:15px;font-weight:600}"
    ".arena .arena-quiet{fill:var(--a-muted)}.arena .arena-peak{fill:var(--a-peak);font-weight:600}"
    ".arena .arena-box{stroke:var(--a-paper);stroke-width:1}.arena .arena-top{stroke:var(--a-peak);"
    "stroke-width:1.5}.arena .arena-thin{stroke:none}.arena .arena-grid{stroke:var(--a-grid);fill:none}";

size_t letters(std::string_view text) {
  return static_cast<size_t>(
      std::ranges::count_if(text, [](char c) { return (static_cast<unsigned char>(c) & 0xC0U) != 0x80U; }));
}

double text_width(std::string_view text) {
  return kLetter * static_cast<double>(letters(text));
}

// The first `most` letters, with "…" for the rest.
std::string cut(std::string_view text, size_t most) {
  if (letters(text) <= most) return std::string(text);
  size_t end = 0;
  for (size_t left = most; end < text.size(); ++end)
    if ((static_cast<unsigned char>(text[end]) & 0xC0U) != 0x80U && left-- <= 1) break;
  return std::string(text.substr(0, end)) + "…";
}

// The smallest power of two that divides the axis into at most eight steps.
int64_t tick_step(int64_t top) {
  int64_t step = 1;
  while (top / step > 8) step *= 2;
  return step;
}

std::string tick_text(int64_t value, int64_t step) {
  constexpr int64_t kKilo = 1024;
  if (step >= kKilo * kKilo) return fmt::format("{} MB", value / (kKilo * kKilo));
  if (step >= kKilo) return fmt::format("{} KB", value / kKilo);
  return fmt::format("{} B", value);
}

std::string_view fill(ArenaBox::Kind kind) {
  switch (kind) {
    case ArenaBox::Kind::Ends:
      return "var(--a-ends)";
    case ArenaBox::Kind::Scratch:
      return "var(--a-scratch)";
    case ArenaBox::Kind::Activation:
      break;
  }
  return "var(--a-activation)";
}

class Drawing {
 public:
  explicit Drawing(const ArenaPicture& picture) : picture_(picture) {
    for (const ArenaBox& box : picture.boxes) head_bytes_ = std::max(head_bytes_, box.offset + box.bytes);
    used_bytes_ = head_bytes_ + picture.tail_bytes;
    // A capacity far above what is used would squeeze the picture: it is told in words alone.
    constexpr int64_t kMostTimes = 3;
    if (picture.capacity_bytes && *picture.capacity_bytes / kMostTimes <= used_bytes_)
      drawn_capacity_ = picture.capacity_bytes;
    top_bytes_ = std::max<int64_t>({1, used_bytes_, drawn_capacity_.value_or(0)});
    const auto columns = static_cast<double>(picture.operators.size() + 1);
    plot_width_ = std::clamp(kColumn * columns, kNarrowest, kWidest);
    column_ = plot_width_ / columns;
    names_ = {"input"};
    for (size_t i = 0; i < picture.operators.size(); ++i)
      names_.push_back(fmt::format("{} {}", i, cut(picture.operators[i], kLongestName)));
    find_fullest();
    for (const std::string& name : names_) widest_name_ = std::max(widest_name_, text_width(name));
    slanted_ = widest_name_ + kPad > column_;
    height_ = kTop + kPlotHeight + 54 + (slanted_ ? kSlantHeight * widest_name_ : kLine);
    width_ = kLeft + plot_width_ + kRight;
  }

  std::string svg() {
    heading();
    mark_fullest();
    grid();
    tail();
    for (const ArenaBox& box : picture_.boxes) draw(box);
    for (const ArenaBox& box : picture_.boxes) inscribe(box);
    operators();
    limits();
    return fmt::format(
        R"svg(<svg xmlns="http://www.w3.org/2000/svg" class="arena" width="{0:.0f}" height="{1:.0f}" )svg"
        R"svg(viewBox="0 0 {0:.0f} {1:.0f}" role="img" aria-label="{2}" font-family="system-ui,sans-serif">)svg"
        R"svg(<style>{3}</style><rect width="100%" height="100%" fill="var(--a-paper)"/>{4}</svg>)svg",
        width_, height_, escape_xml(picture_.title + ": " + in_words()), kStyle, out_);
  }

 private:
  static constexpr double kSlantHeight = 0.82;  // sine of 55°
  static constexpr int kSlantDegrees = 55;

  template <typename... Args>
  void add(fmt::format_string<Args...> format, Args&&... args) {
    fmt::format_to(std::back_inserter(out_), format, std::forward<Args>(args)...);
  }
  [[nodiscard]] double x(int op) const {
    const int most = static_cast<int>(picture_.operators.size());
    return kLeft + column_ * std::clamp(op + 1, 0, most + 1);
  }
  [[nodiscard]] double y(int64_t bytes) const {
    return kTop + kPlotHeight * (1 - static_cast<double>(bytes) / static_cast<double>(top_bytes_));
  }
  [[nodiscard]] bool makes_peak(const ArenaBox& box) const {
    return box.bytes > 0 && box.offset + box.bytes == head_bytes_;
  }
  [[nodiscard]] std::string operator_text(int op) const {
    const auto index = static_cast<size_t>(op);
    return op < 0 || index >= picture_.operators.size()
               ? "the start"
               : fmt::format("operator {} ({})", op, picture_.operators[index]);
  }

  [[nodiscard]] std::string in_words() const {
    std::string text = fmt::format("{} bytes at the peak", format_integer(head_bytes_));
    if (picture_.tail_bytes > 0)
      text += fmt::format(" + {} of structures = {}", format_integer(picture_.tail_bytes),
                          format_integer(used_bytes_));
    if (picture_.capacity_bytes) text += fmt::format(", of {}", format_integer(*picture_.capacity_bytes));
    return text;
  }

  void heading() {
    const auto fits = static_cast<size_t>((width_ - 40) / (kLetter * 1.36));
    add(R"svg(<text x="16" y="26" class="arena-title">{}</text><text x="16" y="46" class="arena-quiet">{}</text>)svg",
        escape_xml(cut(picture_.title, fits)), escape_xml(in_words()));
    const auto has = [&](ArenaBox::Kind kind) {
      return std::ranges::any_of(picture_.boxes, [&](const ArenaBox& box) { return box.kind == kind; });
    };
    double at = kLeft;
    const auto entry = [&](std::string_view colour, std::string_view text) {
      add(R"svg(<rect x="{:.1f}" y="58" width="11" height="11" rx="2" fill="{}"/><text x="{:.1f}" y="68">{}</text>)svg",
          at, colour, at + 16, text);
      at += 16 + text_width(text) + 18;
    };
    if (has(ArenaBox::Kind::Activation)) entry(fill(ArenaBox::Kind::Activation), "activation");
    if (has(ArenaBox::Kind::Ends)) entry(fill(ArenaBox::Kind::Ends), "input, output");
    if (has(ArenaBox::Kind::Scratch)) entry(fill(ArenaBox::Kind::Scratch), "scratch");
    if (picture_.tail_bytes > 0) entry("var(--a-tail)", "structures (tail)");
  }

  // Operators while which the most is held, and how much that is.
  void find_fullest() {
    std::vector<int64_t> held(names_.size() + 1, 0);
    const int last = static_cast<int>(names_.size()) - 1;
    for (const ArenaBox& box : picture_.boxes) {
      held[static_cast<size_t>(std::clamp(box.first_used + 1, 0, last))] += box.bytes;
      held[static_cast<size_t>(std::clamp(box.last_used + 1, 0, last)) + 1] -= box.bytes;
    }
    std::partial_sum(held.begin(), held.end(), held.begin());
    const int64_t most = *std::ranges::max_element(held);
    for (int column = 0; column <= last && most > 0; ++column)
      if (held[static_cast<size_t>(column)] == most) fullest_.push_back(column);
  }
  // Behind everything.
  void mark_fullest() {
    for (const int column : fullest_)
      add(R"svg(<rect x="{:.1f}" y="{}" width="{:.1f}" height="{}" fill="var(--a-glow)"/>)svg",
          kLeft + column_ * column, kTop, column_, kPlotHeight);
  }

  void grid() {
    const double right = kLeft + plot_width_;
    const int64_t step = tick_step(top_bytes_);
    for (int64_t value = 0; value <= top_bytes_; value += step)
      add(R"svg(<path d="M{} {:.1f}H{:.1f}" class="arena-grid"/>)svg"
          R"svg(<text x="{}" y="{:.1f}" text-anchor="end" class="arena-quiet">{}</text>)svg",
          kLeft, y(value), right, kLeft - 8, y(value) + 4, tick_text(value, step));
    constexpr double kNarrowestLined = 8;
    if (column_ < kNarrowestLined) return;
    for (int op = -1; op <= static_cast<int>(picture_.operators.size()); ++op)
      add(R"svg(<path d="M{:.1f} {}V{}" class="arena-grid"/>)svg", x(op), kTop, kTop + kPlotHeight);
  }

  void tail() {
    if (picture_.tail_bytes <= 0) return;
    add(R"svg(<rect x="{}" y="{:.1f}" width="{:.1f}" height="{:.1f}" fill="var(--a-tail)" class="arena-box">)svg"
        R"svg(<title>structures: {} bytes, all the time</title></rect>)svg",
        kLeft, y(used_bytes_), plot_width_, y(head_bytes_) - y(used_bytes_),
        format_integer(picture_.tail_bytes));
  }

  struct Area {
    double left = 0;
    double top = 0;
    double width = 0;
    double height = 0;
  };
  [[nodiscard]] Area area_of(const ArenaBox& box) const {
    const double left = x(box.first_used);
    const double height = std::max(y(box.offset) - y(box.offset + box.bytes), kThinnest);
    return {left, y(box.offset) - height, std::max(x(box.last_used + 1) - left, kThinnest), height};
  }

  void draw(const ArenaBox& box) {
    const Area area = area_of(box);
    constexpr double kSmallestRounded = 12;
    add(R"svg(<rect x="{:.1f}" y="{:.1f}" width="{:.1f}" height="{:.1f}" rx="{}" fill="{}" fill-opacity="0.92" )svg"
        R"svg(class="arena-box{}"><title>{}: {} bytes at {}, from {} to {}</title></rect>)svg",
        area.left, area.top, area.width, area.height,
        std::min(area.width, area.height) >= kSmallestRounded ? 3 : 0, fill(box.kind),
        makes_peak(box)   ? " arena-top"
        : area.height < 4 ? " arena-thin"
                          : "",
        escape_xml(box.label), format_integer(box.bytes), format_integer(box.offset),
        operator_text(box.first_used), operator_text(box.last_used));
  }

  // Name and size in two lines or one, along the box or up it; the size alone; or nothing, where no text
  // fits: hovering tells it then.
  void inscribe(const ArenaBox& box) {
    const Area area = area_of(box);
    const std::string size = format_bytes(box.bytes);
    constexpr size_t kLeastName = 7;
    const size_t least_name = std::min(letters(box.label), kLeastName);
    const auto both = [&](double along, double across, Way way) {
      const auto fits = static_cast<size_t>(std::max(along - kPad, 0.0) / kLetter);
      if (across >= 2 * kLine + 3 && fits >= std::max(letters(size), least_name))
        return write({cut(box.label, fits), size}, area, way);
      if (across >= kLine + 1 && fits >= letters(size) + 2 + least_name)
        return write({cut(box.label, fits - letters(size) - 2) + "  " + size}, area, way);
      return false;
    };
    const auto size_alone = [&](double along, double across, Way way) {
      return across >= kLine && along >= text_width(size) + kPad / 2 && write({size}, area, way);
    };
    const bool written =
        both(area.width, area.height, Way::Along) || both(area.height, area.width, Way::Up) ||
        size_alone(area.width, area.height, Way::Along) || size_alone(area.height, area.width, Way::Up);
    static_cast<void>(written);
  }

  // In the area's middle, unless another text stands there: boxes may overlap.
  enum class Way { Along, Up };
  bool write(const std::vector<std::string>& lines, const Area& area, Way way) {
    double along = 0;
    for (const std::string& line : lines) along = std::max(along, text_width(line));
    const double across = kLine * static_cast<double>(lines.size());
    const double width = way == Way::Along ? along : across;
    const double height = way == Way::Along ? across : along;
    const double centre_x = area.left + area.width / 2;
    const double centre_y = area.top + area.height / 2;
    const Area text{centre_x - width / 2, centre_y - height / 2, width, height};
    const auto meets = [&](const Area& other) {
      return text.left < other.left + other.width && other.left < text.left + text.width &&
             text.top < other.top + other.height && other.top < text.top + text.height;
    };
    if (std::ranges::any_of(texts_, meets)) return false;
    texts_.push_back(text);
    add(R"svg(<text transform="translate({:.1f} {:.1f}){}" text-anchor="middle" pointer-events="none">)svg",
        centre_x, centre_y, way == Way::Along ? "" : " rotate(-90)");
    double baseline = 4 - kLine * static_cast<double>(lines.size() - 1) / 2;
    for (const std::string& line : lines) {
      add(R"svg(<tspan x="0" y="{:.1f}">{}</tspan>)svg", baseline, escape_xml(line));
      baseline += kLine;
    }
    out_ += "</text>";
    return true;
  }

  // Every operator's name, or every second, third, … where they stand too close.
  void operators() {
    const double bottom = kTop + kPlotHeight;
    size_t step = 1;
    while (slanted_ && static_cast<double>(step) * column_ * kSlantHeight < kLine) ++step;
    for (size_t i = 0; i < names_.size(); i += step) {
      const double centre = kLeft + column_ * (static_cast<double>(i) + 0.5);
      if (slanted_)
        add(R"svg(<text transform="translate({:.1f} {:.1f}) rotate(-{})" text-anchor="end">{}</text>)svg",
            centre + 4, bottom + 14, kSlantDegrees, escape_xml(names_[i]));
      else
        add(R"svg(<text x="{:.1f}" y="{:.1f}" text-anchor="middle">{}</text>)svg", centre, bottom + 18,
            escape_xml(names_[i]));
    }
    add(R"svg(<text x="{:.1f}" y="{:.1f}" text-anchor="middle" class="arena-quiet">operators in order of execution</text>)svg",
        kLeft + plot_width_ / 2, height_ - 10);
  }

  // Right of the plot, from the bottom up, never closer than their lines.
  void limits() {
    struct Limit {
      int64_t bytes;
      std::vector<std::string> lines;
      std::string_view colour;
      bool is_peak = false;
    };
    std::vector<Limit> limits;
    std::vector<std::string> peak = {fmt::format("peak {} bytes", format_integer(head_bytes_))};
    if (!fullest_.empty())
      peak.push_back("fullest at " + cut(names_[static_cast<size_t>(fullest_.front())], kLongestPlace));
    limits.push_back({head_bytes_, std::move(peak), "var(--a-peak)", true});
    if (picture_.tail_bytes > 0)
      limits.push_back(
          {used_bytes_, {fmt::format("with tail {} bytes", format_integer(used_bytes_))}, "var(--a-muted)"});
    if (drawn_capacity_)
      limits.push_back({*drawn_capacity_,
                        {fmt::format("capacity {} bytes", format_integer(*drawn_capacity_))},
                        "var(--a-ink)"});
    std::ranges::sort(limits, {}, &Limit::bytes);
    const double right = kLeft + plot_width_;
    double free_below = kTop + kPlotHeight + kLine;
    for (const Limit& limit : limits) {
      const double line = y(limit.bytes);
      const double lines_height = kLine * static_cast<double>(limit.lines.size());
      double baseline = std::min(line + 4, free_below - lines_height + kLine);
      free_below = baseline - kLine;
      add(R"svg(<path d="M{} {:.1f}H{:.1f}L{:.1f} {:.1f}" fill="none" stroke="{}" stroke-dasharray="5 3"/>)svg",
          kLeft, line, right, right + 10, baseline - 4, limit.colour);
      for (const std::string& text : limit.lines) {
        add(R"svg(<text x="{:.1f}" y="{:.1f}"{}>{}</text>)svg", right + 14, baseline,
            limit.is_peak ? R"( class="arena-peak")" : "", escape_xml(text));
        baseline += kLine;
      }
    }
  }

  const ArenaPicture& picture_;
  int64_t head_bytes_ = 0;
  int64_t used_bytes_ = 0;
  int64_t top_bytes_ = 1;
  std::optional<int64_t> drawn_capacity_;
  bool slanted_ = false;
  double plot_width_ = 0;
  double column_ = 0;
  double width_ = 0;
  double height_ = 0;
  double widest_name_ = 0;
  std::vector<std::string> names_;  // of the columns
  std::vector<int> fullest_;        // columns
  std::vector<Area> texts_;         // within boxes
  std::string out_;
};

// TensorFlow names a tensor after the layers that were merged, "a/b/c;d/e": the first one's last two parts.
std::string short_name(const std::string& name) {
  const std::string first = name.substr(0, name.find(';'));
  const size_t last = first.rfind('/');
  const size_t before = last == std::string::npos || last == 0 ? last : first.rfind('/', last - 1);
  return int8::printable(before == std::string::npos ? first : first.substr(before + 1));
}

}  // namespace

std::string arena_svg(const ArenaPicture& picture) {
  return Drawing(picture).svg();
}

ArenaPicture arena_of(const cost::Cost& cost, const std::string& name, const cost::Target& target) {
  using Kind = cost::HeadBuffer::Kind;
  ArenaPicture picture{.title = int8::printable(name) + ", TFLM's arena on a Cortex-M4",
                       .tail_bytes = cost.cortex_m4.tail_bytes};
  if (target.board && target.runtime == cost::Runtime::Tflm)
    picture.capacity_bytes = std::max<int64_t>(
        target.board->ram_for_model() - cost.footprint.static_bytes - cost.footprint.stack_bytes, 0);
  for (const cost::LayerCost& layer : cost.layers) picture.operators.push_back(layer.operator_name);
  for (const cost::HeadBuffer& buffer : cost.head)
    picture.boxes.push_back(
        {.kind = buffer.kind == Kind::Scratch      ? ArenaBox::Kind::Scratch
                 : buffer.kind == Kind::Activation ? ArenaBox::Kind::Activation
                                                   : ArenaBox::Kind::Ends,
         .label = buffer.kind == Kind::Scratch ? "scratch of " + buffer.name : short_name(buffer.name),
         .bytes = buffer.bytes,
         .offset = buffer.offset,
         .first_used = buffer.first_used,
         .last_used = buffer.last_used});
  return picture;
}

}  // namespace retort::report
