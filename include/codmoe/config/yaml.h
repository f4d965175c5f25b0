// YAML files and --set overrides to typed options. The only place that knows YAML.
#pragma once

#include <filesystem>
#include <string>
#include <vector>

#include "codmoe/core/options_json.h"

namespace codmoe::config {

/// A tree, and where each of its keys came from.
struct Tree {
  core::Json values = core::Json::object();
  core::Origins origins;
};

/// Reads one YAML file; scalars become booleans, numbers or texts by YAML's core schema, quoted ones stay texts.
/// @throws core::UsageError with file and line for broken YAML, a key given twice or a missing file.
Tree read_yaml(const std::filesystem::path& file);

/// Applies "key.path=value", the value in YAML. @throws core::UsageError for text of another form.
void apply_override(Tree& tree, const std::string& assignment);

/// YAML that read_yaml() takes back.
std::string to_yaml(const core::Json& tree);

/// Defaults, then the file (where given), then the overrides in their order.
/// @throws core::UsageError with place, key path and what is allowed.
template <class T>
T load(const std::filesystem::path& file, const std::vector<std::string>& overrides, T options = {}) {
  Tree tree = file.empty() ? Tree{} : read_yaml(file);
  for (const auto& assignment : overrides) apply_override(tree, assignment);
  core::read_options(tree.values, tree.origins, options);
  return options;
}

/// All options with their values, as YAML that load() takes back.
template <class T>
std::string dump(const T& options) {
  return to_yaml(core::write_options(options));
}

}  // namespace codmoe::config
