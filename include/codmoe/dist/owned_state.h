// State of which each rank holds a part.
#pragma once

#include <map>
#include <string>

#include "codmoe/core/safetensors.h"
#include "codmoe/dist/group.h"

namespace codmoe::dist {

/// The rank that holds a tensor's values, by name; the same on every rank.
using Owners = std::map<std::string, int64_t>;

/// Gives every rank the owners' values, in place; names without an owner are left alone. Every rank must have the same
/// names, shapes and dtypes, on devices of its choice. A message between hosts, one an owner.
void fill_from_owners(const core::TensorMap& state, const Owners& owners, Group& group);

}  // namespace codmoe::dist
