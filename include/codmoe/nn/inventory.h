// What a set of named tensors holds: how much, of which dtypes, where, and what of it isn't a number.
#pragma once

#include <cstdint>
#include <map>
#include <string>
#include <vector>

#include "codmoe/core/safetensors.h"

namespace codmoe::nn {

/// Tensors that share the beginning of their names.
struct Part {
  std::string name;     ///< "moe.0.experts.3"; empty for all tensors together
  int64_t depth = 0;    ///< 1 for those at the top
  int64_t tensors = 0;  ///< how many
  int64_t values = 0;   ///< elements of all of them
  int64_t bytes = 0;
};

/// All tensors first, then each part before the parts inside it, down to `depth`, siblings in the order of their names.
/// A number belongs to the word before it, so that "moe.0.experts.3.norm.weight" is in "moe.0", "moe.0.experts.3" and
/// "moe.0.experts.3.norm". A tensor that is inside no module stands for itself.
std::vector<Part> list_parts(const core::TensorMap& tensors, int64_t depth);

/// Number of values apart from those that no gradient moves, by their names: the statistics and counts of norm layers,
/// and the router's selection bias.
int64_t count_parameters(const core::TensorMap& tensors);

/// Number of tensors of each dtype, by its name in PyTorch ("float32").
std::map<std::string, int64_t> count_dtypes(const core::TensorMap& tensors);

/// Names of the floating-point tensors that hold infinity or NaN.
std::vector<std::string> find_nonfinite(const core::TensorMap& tensors);

}  // namespace codmoe::nn
