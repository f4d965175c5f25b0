#include "variables.h"

#include <fmt/format.h>

#include <charconv>

#include "codmoe/core/error.h"

namespace codmoe::dist {

std::optional<std::string> text_of(const Variables& variables, const std::string& name) {
  auto text = variables(name);
  if (text && text->empty()) text.reset();
  return text;
}

std::optional<std::string> first_of(const Variables& variables, std::initializer_list<const char*> names) {
  for (const auto* name : names) {
    if (auto text = text_of(variables, name)) return text;
  }
  return std::nullopt;
}

std::optional<int64_t> optional_number_of(const Variables& variables, const std::string& name,
                                          const core::Range& range) {
  const auto text = text_of(variables, name);
  if (!text) return std::nullopt;
  int64_t value = 0;
  const auto* end = text->data() + text->size();
  const auto [stop, error] = std::from_chars(text->data(), end, value);
  if (error != std::errc() || stop != end || !range.contains(static_cast<double>(value))) {
    throw core::UsageError(
        fmt::format("environment variable {}={}: must be a whole number {}", name, *text, range.text()));
  }
  return value;
}

int64_t number_of(const Variables& variables, const std::string& name, const core::Range& range) {
  if (const auto value = optional_number_of(variables, name, range)) return *value;
  throw core::UsageError(fmt::format("environment variable {} is missing beside the launcher's others", name));
}

}  // namespace codmoe::dist
