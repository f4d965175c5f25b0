// The visitors behind options_json.h. Include that header, not this one.
#pragma once

#include <fmt/format.h>

#include <optional>
#include <set>
#include <type_traits>
#include <vector>

#include "codmoe/core/options_json.h"

namespace codmoe::core::detail {

/// One place in a tree: its key path, and where it came from.
struct Cursor {
  const Origins& origins;
  std::string path;

  Cursor child(const std::string& key) const { return {origins, path.empty() ? key : path + "." + key}; }
  const Origin& origin() const;
  [[noreturn]] void reject(const std::string& message) const;
};

/// What a JSON value is called in a message: "a list", "the text 'abc'".
std::string describe(const Json& value);
[[noreturn]] void reject_type(const Json& value, const char* expected, const Cursor& at);
[[noreturn]] void reject_unknown(const std::string& key, const std::set<std::string>& known, const Cursor& at);
void check_range(double value, const Range& range, const Cursor& at);

template <class T>
concept OptionStruct = requires(T options) {
  options.fields([](auto&&...) {});
};
template <class T>
concept Checked = requires(const T options) {
  options.check();
};
template <class T>
struct is_vector : std::false_type {};
template <class T>
struct is_vector<std::vector<T>> : std::true_type {};
template <class T>
struct is_string_map : std::false_type {};
template <class T>
struct is_string_map<std::map<std::string, T>> : std::true_type {};

template <class T>
void read_value(const Json& value, T& target, const Range& range, const Cursor& at);

/// Reads one struct: every field takes its key from `tree`, what is left over is unknown.
template <OptionStruct T>
void read_struct(const Json& tree, T& options, const Cursor& at) {
  if (!tree.is_object()) reject_type(tree, "a mapping", at);
  std::set<std::string> known;
  options.fields([&](const char* key, auto& field, const Range& range = {}) {
    known.insert(key);
    if (auto found = tree.find(key); found != tree.end()) read_value(*found, field, range, at.child(key));
  });
  for (const auto& [key, value] : tree.items()) {
    if (!known.contains(key)) reject_unknown(key, known, at.child(key));
  }
  if constexpr (Checked<T>) {
    try {
      options.check();
    } catch (const BadOption& bad) {
      at.child(bad.key()).reject(bad.what());
    }
  }
}

template <NamedEnum T>
void read_enum(const Json& value, T& target, const Cursor& at) {
  std::string allowed;
  for (const auto& [name, candidate] : enum_names(T{})) {
    if (value.is_string() && value.get<std::string>() == name) {
      target = candidate;
      return;
    }
    allowed += (allowed.empty() ? "" : ", ") + std::string(name);
  }
  at.reject(fmt::format("must be one of {}; it is {}", allowed, describe(value)));
}

template <class T>
void read_number(const Json& value, T& target, const Range& range, const Cursor& at) {
  if constexpr (std::is_integral_v<T>) {
    if (!value.is_number_integer()) reject_type(value, "a whole number", at);
    if (value.is_number_unsigned() && !std::in_range<int64_t>(value.get<uint64_t>()))
      at.reject("is too large a number");
    const auto wide = value.get<int64_t>();
    check_range(static_cast<double>(wide), range, at);
    if (!std::in_range<T>(wide)) at.reject("is too large a number");
    target = static_cast<T>(wide);
  } else {
    if (!value.is_number()) reject_type(value, "a number", at);
    target = value.get<T>();
    check_range(target, range, at);
  }
}

template <class T>
void read_list(const Json& value, std::vector<T>& target, const Range& range, const Cursor& at) {
  if (!value.is_array()) reject_type(value, "a list", at);
  target.clear();
  for (std::size_t i = 0; i < value.size(); ++i) {
    read_value(value[i], target.emplace_back(), range, at.child(std::to_string(i)));
  }
}

template <class T>
void read_map(const Json& value, std::map<std::string, T>& target, const Range& range, const Cursor& at) {
  if (!value.is_object()) reject_type(value, "a mapping", at);
  target.clear();
  for (const auto& [key, item] : value.items()) read_value(item, target[key], range, at.child(key));
}

template <class T>
void read_value(const Json& value, T& target, const Range& range, const Cursor& at) {
  if constexpr (std::is_same_v<T, bool>) {
    if (!value.is_boolean()) reject_type(value, "true or false", at);
    target = value.get<bool>();
  } else if constexpr (std::is_arithmetic_v<T>) {
    read_number(value, target, range, at);
  } else if constexpr (std::is_same_v<T, std::string>) {
    if (!value.is_string()) reject_type(value, "a text", at);
    target = value.get<std::string>();
  } else if constexpr (std::is_same_v<T, std::filesystem::path>) {
    if (!value.is_string() && !value.is_null()) reject_type(value, "a path", at);
    const std::filesystem::path written = value.is_null() ? "" : value.get<std::string>();  // `weights:` is no path
    target = written.empty() || written.is_absolute() ? written : (at.origin().base / written).lexically_normal();
  } else if constexpr (NamedEnum<T>) {
    read_enum(value, target, at);
  } else if constexpr (is_vector<T>::value) {
    read_list(value, target, range, at);
  } else if constexpr (is_string_map<T>::value) {
    read_map(value, target, range, at);
  } else {
    read_struct(value, target, at);
  }
}

template <class T>
Json write_value(const T& value) {
  if constexpr (std::is_same_v<T, std::filesystem::path>) {
    return value.string();
  } else if constexpr (NamedEnum<T>) {
    return std::string(name_of(value));
  } else if constexpr (is_vector<T>::value) {
    Json list = Json::array();
    for (const auto& item : value) list.push_back(write_value(item));
    return list;
  } else if constexpr (is_string_map<T>::value) {
    Json map = Json::object();
    for (const auto& [key, item] : value) map[key] = write_value(item);
    return map;
  } else if constexpr (OptionStruct<T>) {
    Json tree = Json::object();
    T copy = value;  // fields() serves readers too, so it is not const
    copy.fields([&](const char* key, auto& field, const Range& = {}) { tree[key] = write_value(field); });
    return tree;
  } else {
    return value;
  }
}

}  // namespace codmoe::core::detail

namespace codmoe::core {

template <class T>
void read_options(const Json& tree, const Origins& origins, T& options) {
  detail::read_struct(tree, options, {origins, ""});
}

template <class T>
Json write_options(const T& options) {
  return detail::write_value(options);
}

}  // namespace codmoe::core
