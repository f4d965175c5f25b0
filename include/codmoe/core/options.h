// Option structs and the one visitor that reads, dumps, overrides and rejects.
//
// An option struct is a plain aggregate with a member template that lists each field once:
//
//   enum class Norm { batch, group, layer };
//   constexpr auto enum_names(Norm) { return core::names<Norm>({{"batch", Norm::batch}, ...}); }   // found by ADL
//
//   struct BalanceOptions {
//     double min = 1e-5;                       // smallest coefficient
//     template <class Visitor> void fields(Visitor&& visit) {
//       visit("min", min, core::at_least(0.0));
//     }
//     void check() const;                      // optional: bad combinations; throws core::BadOption
//   };
//
// Field types: bool, int64_t, double, std::string, std::filesystem::path, enums, nested option structs,
// std::vector and std::map<std::string, ...> of these. Paths read from a file are relative to that file.
#pragma once

#include <array>
#include <cstdint>
#include <limits>
#include <string>
#include <string_view>
#include <utility>

#include "codmoe/core/error.h"

namespace codmoe::core {

/// What a number may be: min <= value <= max, or min < value where `open_min`.
struct Range {
  double min = -std::numeric_limits<double>::infinity();
  double max = std::numeric_limits<double>::infinity();
  bool open_min = false;

  bool contains(double value) const { return (open_min ? value > min : value >= min) && value <= max; }
  /// For messages: "at least 1", "in [0, 1]", "above 0".
  std::string text() const;
};

/// For a field's visit(): every number; min or more; more than min; min to max, both included.
inline Range any_number() { return {}; }
inline Range at_least(double min) { return {.min = min}; }
inline Range above(double min) { return {.min = min, .open_min = true}; }
inline Range between(double min, double max) { return {.min = min, .max = max}; }

/// The list that an enum's enum_names() returns: each value with its name in YAML, in the order of messages.
template <class Enum, std::size_t N>
constexpr std::array<std::pair<std::string_view, Enum>, N> names(const std::pair<std::string_view, Enum> (&list)[N]) {
  return std::to_array(list);
}

/// An enum that has enum_names().
template <class T>
concept NamedEnum = requires(T value) {
  enum_names(value);
};

/// The name of an enum value, as it stands in YAML. @throws Error for a value that enum_names() lacks.
template <NamedEnum T>
std::string_view name_of(T value) {
  for (const auto& [name, candidate] : enum_names(value)) {
    if (candidate == value) return name;
  }
  throw Error("an enum value has no name");
}

/// A bad value or combination, thrown from an option struct's check(): `key` is relative to that struct. The reader
/// turns it into a UsageError with file, line and the whole key path.
class BadOption : public UsageError {
 public:
  BadOption(std::string key, const std::string& message) : UsageError(message), key_(std::move(key)) {}
  const std::string& key() const noexcept { return key_; }

 private:
  std::string key_;
};

}  // namespace codmoe::core
