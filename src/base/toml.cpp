#include "base/toml.h"

#include <fmt/format.h>

#include <algorithm>
#include <vector>

#include "base/error.h"
#include "base/file.h"

namespace retort {
namespace {

// The parser speaks of "Error while parsing key-value pair: …" in one or more lines.
std::string one_line(std::string_view text) {
  std::string line(text);
  std::ranges::replace(line, '\n', ' ');
  constexpr std::string_view kPrefix = "Error while parsing ";
  if (line.starts_with(kPrefix)) line.erase(0, kPrefix.size());
  return line;
}

// A character of UTF-8 at the beginning of `text`: how many bytes it has, and its number. No bytes: it is none.
struct Letter {
  size_t bytes = 0;
  uint32_t number = 0;
};
Letter letter_at(std::string_view text) {
  const auto first = static_cast<unsigned char>(text[0]);
  const size_t bytes = first < 0xC2 ? 0 : first < 0xE0 ? 2 : first < 0xF0 ? 3 : first < 0xF5 ? 4 : 0;
  if (bytes == 0 || text.size() < bytes) return {};
  uint32_t number = first & (0xFFU >> (bytes + 1));
  for (const char c : text.substr(1, bytes - 1)) {
    const auto byte = static_cast<unsigned char>(c);
    if ((byte & 0xC0U) != 0x80) return {};
    number = number << 6U | (byte & 0x3FU);
  }
  const uint32_t least = bytes == 3 ? 0x800 : bytes == 4 ? 0x10000 : 0x80;
  if (number < least || number > 0x10FFFF || (number >= 0xD800 && number < 0xE000)) return {};
  return {bytes, number};
}

bool is_ascii(char c) {
  return static_cast<unsigned char>(c) < 0x80;
}

// The same in ASCII, line by line: what toml++ 3.3 does with other letters where it expects none is undefined, and what
// it expects behind a file's mistake nobody knows. Letters in strings become escapes, those in comments go. Dots of names
// are counted on the way.
class Ascii {
 public:
  Ascii(std::string_view text, const std::string& file) : text_(text), file_(file) {}

  std::string run() {
    while (at_ < text_.size()) {
      const char c = text_[at_];
      if (c == '#') {
        const size_t end = std::min(text_.find('\n', at_), text_.size());
        for (; at_ < end; ++at_) out_ += is_ascii(text_[at_]) ? text_[at_] : '?';
      } else if (c == '"' || c == '\'') {
        string();
      } else if (is_ascii(c)) {
        count_dots(c);
        out_ += c;
        ++at_;
      } else {
        fail("a letter that is not ASCII stands outside quotation marks");
      }
    }
    return std::move(out_);
  }

 private:
  [[noreturn]] void fail(std::string_view what) const {
    throw_usage("{}:{}: this is no TOML: {}", file_, std::ranges::count(out_, '\n') + 1, what);
  }

  // A number's one dot counts as well, which nobody needs to know.
  void count_dots(char c) {
    const int around = open_.empty() ? 0 : open_.back();
    if (c == '[' || c == '{') {
      open_.push_back(dots_);
    } else if (c == ']' || c == '}') {
      dots_ = around;
      if (!open_.empty()) open_.pop_back();
    } else if (c == ',' || c == '\n') {
      dots_ = around;
    } else if (c == '.' && ++dots_ > kMostTomlDots) {
      fail(fmt::format("names of tables within tables have more than {} dots", kMostTomlDots));
    }
  }

  // To the end of the string that begins here, or to where it is none any more: at the end of a line.
  [[nodiscard]] size_t end_of(std::string_view mark) const {
    size_t end = at_ + mark.size();
    while (end < text_.size() && text_.substr(end, mark.size()) != mark) {
      if (mark.size() == 1 && text_[end] == '\n') return end;
      end += mark[0] == '"' && text_[end] == '\\' ? 2 : 1;
    }
    end += mark.size();
    // Two quotation marks may stand before the last three.
    for (int more = 0; mark.size() == 3 && more < 2 && end < text_.size() && text_[end] == mark[0]; ++more)
      ++end;
    return std::min(end, text_.size());
  }

  void string() {
    const std::string three(3, text_[at_]);
    const std::string_view mark = text_.substr(at_, text_.substr(at_, 3) == three ? 3 : 1);
    const std::string_view whole = text_.substr(at_, end_of(mark) - at_);
    if (std::ranges::all_of(whole, is_ascii)) {
      out_ += whole;
      at_ += whole.size();
      return;
    }
    if (whole.size() < 2 * mark.size() || !whole.ends_with(mark)) fail("a string has no end");
    // One without escapes becomes one with them.
    const bool has_escapes = mark[0] == '"';
    const size_t last = at_ + whole.size() - mark.size();
    out_ += std::string(mark.size(), '"');
    for (at_ += mark.size(); at_ < last;) {
      const char c = text_[at_];
      if (!is_ascii(c)) {
        letter();
        continue;
      }
      if (!has_escapes && (c == '"' || c == '\\')) out_ += '\\';
      out_ += c;
      ++at_;
      if (has_escapes && c == '\\' && at_ < last) {
        if (!is_ascii(text_[at_])) fail("a backslash stands before a letter that is no escape");
        out_ += text_[at_++];
      }
    }
    out_ += std::string(mark.size(), '"');
    at_ += mark.size();
  }

  void letter() {
    const Letter letter = letter_at(text_.substr(at_));
    if (letter.bytes == 0) fail("what is no UTF-8 stands in quotation marks");
    out_ += letter.number < 0x10000 ? fmt::format("\\u{:04X}", letter.number)
                                    : fmt::format("\\U{:08X}", letter.number);
    at_ += letter.bytes;
  }

  std::string_view text_;
  const std::string& file_;
  size_t at_ = 0;
  std::string out_;
  int dots_ = 0;           // of the name here, and around it
  std::vector<int> open_;  // the same where each bracket stands that is open here
};

}  // namespace

toml::table parse_toml(std::string_view text, const std::string& file) {
  if (text.size() > kMostTomlBytes)
    throw_usage("{}: has {} bytes of TOML; at most {} are read", file, text.size(), kMostTomlBytes);
  constexpr std::string_view kByteOrderMark = "\xef\xbb\xbf";
  const bool marked = text.starts_with(kByteOrderMark);
  const std::string ascii = Ascii(text.substr(marked ? kByteOrderMark.size() : 0), file).run();
  try {
    return toml::parse(ascii, file);
  } catch (const toml::parse_error& error) {
    throw_usage("{}:{}: this is no TOML: {}", file, error.source().begin.line, one_line(error.description()));
  } catch (const TomlAssertion&) {
    throw_usage("{}: this is no TOML: a table's name or a key begins with what no name begins with", file);
  }
}

std::string read_toml_text(const std::filesystem::path& file) {
  return read_text(file, kMostTomlBytes);
}

}  // namespace retort
