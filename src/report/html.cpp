#include "report/html.h"

#include <fmt/format.h>

#include <cmath>

#include "base/json.h"

namespace retort::report {

std::string escape_xml(std::string_view text) {
  std::string out;
  out.reserve(text.size());
  for (const char c : text) {
    switch (c) {
      case '&':
        out += "&amp;";
        break;
      case '<':
        out += "&lt;";
        break;
      case '>':
        out += "&gt;";
        break;
      case '"':
        out += "&quot;";
        break;
      case '\'':
        out += "&#39;";
        break;
      default:
        // XML 1.0 has no other control characters.
        if (static_cast<unsigned char>(c) >= 0x20 || c == '\n' || c == '\t') out += c;
    }
  }
  return out;
}

std::string clean(std::string_view text) {
  return escape_xml(parse_json(dump_json(Json(text))).get<std::string>());
}

std::string percent(double value) {
  return std::isfinite(value) ? fmt::format("{:.2f}%", value * 100) : "–";
}

std::string card(std::string_view value, std::string_view caption) {
  return fmt::format("<div class=card><b>{}</b><span>{}</span></div>", clean(value), clean(caption));
}

std::string scroll(std::string_view label, std::string_view table) {
  return fmt::format("<div class=scroll tabindex=0 role=region aria-label='{}'>{}</div>", escape_xml(label),
                     table);
}

std::string structure_text(std::string_view layers) {
  std::string text;
  bool in_layer = false;
  for (const char c : layers) {
    if (c == '(' || c == ')') in_layer = c == '(';
    if (c == '(' || c == ')' || c == '[' || c == ']' || c == '\'' || (c == ',' && in_layer)) continue;
    text += c;
  }
  constexpr std::string_view kNone = " None";
  for (size_t at = text.find(kNone); at != std::string::npos; at = text.find(kNone))
    text.erase(at, kNone.size());
  return clean(text);
}

std::string shell_word(std::string_view text) {
  constexpr std::string_view kPlain =
      "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789_-./:=,@%+";
  if (!text.empty() && text.find_first_not_of(kPlain) == std::string_view::npos) return std::string(text);
  std::string out = "'";
  for (const char c : text) out += c == '\'' ? std::string("'\\''") : std::string(1, c);
  return out + "'";
}

}  // namespace retort::report
