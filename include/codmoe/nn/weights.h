// A module's weights as named tensors, and back: what was missing, unexpected or mis-shaped is always reported.
#pragma once

#include <torch/nn/module.h>

#include <string>
#include <vector>

#include "codmoe/core/safetensors.h"

namespace codmoe::nn {

/// Tensors by dotted name.
using core::TensorMap;

/// What came of loading tensors into a module, by key and in the order of the keys. Norm layers' `num_batches_tracked`
/// is loaded where both sides have it and otherwise not mentioned: no result depends on it.
struct LoadReport {
  std::vector<std::string> matched;
  std::vector<std::string> missing;     ///< in the module, not among the tensors
  std::vector<std::string> unexpected;  ///< among the tensors, not in the module
  std::vector<std::string> misshaped;   ///< in both, each followed by " ([file's shape], the model has [shape])"
  std::vector<std::string> ignored;     ///< unexpected, but ignored by the policy's prefixes

  /// One line: counts, and the first few keys of what doesn't match.
  std::string summary() const;
  /// Lines: the matched by part, then every key of what doesn't match.
  std::string text() const;
  /// Nothing missing, unexpected or mis-shaped.
  bool ok() const { return missing.empty() && unexpected.empty() && misshaped.empty(); }
};

/// What load_state() puts up with.
struct LoadPolicy {
  bool allow_missing = false;     ///< leave these as they are
  bool allow_unexpected = false;  ///< leave these out
  bool allow_misshaped = false;   ///< leave these as they are
  /// Unexpected keys that begin so are left out, such as "classifier."
  std::vector<std::string> ignored_prefixes = {};
  std::string source = "the weights";  ///< names the tensors in messages: the file they came from
};

/// Parameters and buffers by dotted name, sharing the module's memory (detached).
TensorMap state_dict(const torch::nn::Module& module);

/// Number of values in all parameters together; buffers are not counted.
int64_t count_parameters(const torch::nn::Module& module);

/// What load_state() would report; changes nothing.
LoadReport compare_state(const torch::nn::Module& module, const TensorMap& tensors, const LoadPolicy& policy = {});

/// Copies `tensors` into the module's parameters and buffers, converting dtype and device.
/// All or nothing: every key and shape is checked before the first value changes.
/// @throws core::Error listing the keys, where the policy forbids what was found.
LoadReport load_state(torch::nn::Module& module, const TensorMap& tensors, const LoadPolicy& policy = {});

}  // namespace codmoe::nn
