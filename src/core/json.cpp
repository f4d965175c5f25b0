#include "codmoe/core/json.h"

#include <fmt/format.h>

#include <algorithm>
#include <cstdint>

#include "codmoe/core/error.h"

namespace codmoe::core {

namespace {

constexpr int64_t most_nesting = 64;

/// Of lists and objects, were the text JSON.
int64_t nesting_of(std::string_view text) {
  int64_t depth = 0, deepest = 0;
  bool quoted = false;
  for (std::size_t i = 0; i < text.size(); ++i) {
    const char c = text[i];
    if (c == '"') quoted = !quoted;
    if (quoted && c == '\\') ++i;  // what it escapes
    if (quoted) continue;
    if (c == '[' || c == '{') deepest = std::max(deepest, ++depth);
    if (c == ']' || c == '}') --depth;
  }
  return deepest;
}

}  // namespace

Json parse_json(std::string_view text, const std::string& where) {
  if (nesting_of(text) > most_nesting) {
    throw Error(fmt::format("{}: is damaged: its lists and objects nest deeper than {}", where, most_nesting));
  }
  try {
    return Json::parse(text);
  } catch (const Json::exception& error) {
    throw Error(fmt::format("{}: is damaged: {}", where, error.what()));
  }
}

}  // namespace codmoe::core
