#include "text.h"

#include <algorithm>

namespace codmoe::report {

std::string list_names(std::span<const std::string> names, std::size_t most) {
  const auto shown = names.first(std::min(most, names.size()));
  std::string text = fmt::format("{}", fmt::join(shown.begin(), shown.end(), ", "));
  if (shown.size() < names.size()) append(text, " and {} more", names.size() - shown.size());
  return text;
}

std::string escape_markup(std::string_view text) {
  std::string escaped;
  for (const char c : text) {
    switch (c) {
      case '&':
        escaped += "&amp;";
        break;
      case '<':
        escaped += "&lt;";
        break;
      case '>':
        escaped += "&gt;";
        break;
      case '"':
        escaped += "&quot;";
        break;
      case '\'':
        escaped += "&#39;";
        break;
      default:
        escaped += c;
    }
  }
  return escaped;
}

}  // namespace codmoe::report
