// Experts by name. A new built-in one is its own header and source, and one line in registry.cpp; its tests take the
// names from here.
#pragma once

#include <functional>
#include <string>
#include <vector>

#include "codmoe/experts/expert.h"

namespace codmoe::experts {

/// Builds an expert, of at least 4 channels, on the CPU in float32.
using ExpertFactory = std::function<ExpertPtr(const ExpertOptions&)>;

/// Adds an expert under a new name, for pools of this program; before the first pool that names it, from one thread.
/// @throws core::Error where the name is taken. Example: apps/examples/own_expert.cpp.
void register_expert(const std::string& name, ExpertFactory factory);

/// @throws core::UsageError listing the known names for another name, or for fewer than 4 channels.
ExpertPtr make_expert(const std::string& name, const ExpertOptions& options);

/// The six built-in experts in their order, then those of register_expert.
std::vector<std::string> expert_names();

}  // namespace codmoe::experts
