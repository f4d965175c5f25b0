// Option structs from and to JSON trees. YAML files reach this through config/yaml.h, checkpoints directly.
#pragma once

#include <filesystem>
#include <map>
#include <string>

#include "codmoe/core/json.h"
#include "codmoe/core/options.h"

namespace codmoe::core {

/// Where each key of a tree came from, for messages and for relative paths.
struct Origin {
  std::string place;           ///< "demo.yaml:12" or "--set moe.top_k=9"
  std::filesystem::path base;  ///< folder that relative paths of this key start from
};
/// By key path ("moe.balance.min"); a key without an entry takes its nearest parent's.
using Origins = std::map<std::string, Origin>;

/// Overwrites `options` with the keys of `tree`; absent keys keep their value.
/// @throws UsageError naming place, key path and what is allowed, for an unknown key, a wrong type, a bad value or a
///   bad combination.
template <class T>
void read_options(const Json& tree, const Origins& origins, T& options);

/// All fields in their order, enums by name, paths as text; read_options() takes it back.
template <class T>
Json write_options(const T& options);

}  // namespace codmoe::core

#include "codmoe/core/options_json_impl.h"
