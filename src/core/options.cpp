#include "codmoe/core/options.h"

#include <cmath>

#include "codmoe/core/options_json.h"

namespace codmoe::core {

std::string Range::text() const {
  const bool has_min = std::isfinite(min), has_max = std::isfinite(max);
  if (has_min && has_max) return fmt::format("{}{}, {}]", open_min ? "in (" : "in [", min, max);
  if (has_min) return fmt::format("{} {}", open_min ? "above" : "at least", min);
  if (has_max) return fmt::format("at most {}", max);
  return "a finite number";
}

namespace detail {

const Origin& Cursor::origin() const {
  static const Origin nowhere;
  for (std::string key = path;; key.resize(key.rfind('.') == std::string::npos ? 0 : key.rfind('.'))) {
    if (auto found = origins.find(key); found != origins.end()) return found->second;
    if (key.empty()) return nowhere;
  }
}

void Cursor::reject(const std::string& message) const {
  const std::string& place = origin().place;
  throw UsageError(
      fmt::format("{}{}{} {}", place, place.empty() ? "" : ": ", path.empty() ? "the file" : path, message));
}

std::string describe(const Json& value) {
  if (value.is_object()) return "a mapping";
  if (value.is_array()) return "a list";
  if (value.is_null()) return "empty";
  if (value.is_string()) return fmt::format("the text '{}'", value.get<std::string>());
  return value.dump();
}

void reject_type(const Json& value, const char* expected, const Cursor& at) {
  at.reject(fmt::format("must be {}; it is {}", expected, describe(value)));
}

void reject_unknown(const std::string& key, const std::set<std::string>& known, const Cursor& at) {
  std::string allowed;
  for (const auto& name : known) allowed += (allowed.empty() ? "" : ", ") + name;
  at.reject(fmt::format("is unknown: there is no option '{}' here; allowed are {}", key, allowed));
}

void check_range(double value, const Range& range, const Cursor& at) {
  if (!std::isfinite(value) || !range.contains(value))
    at.reject(fmt::format("must be {}; it is {}", range.text(), value));
}

}  // namespace detail
}  // namespace codmoe::core
