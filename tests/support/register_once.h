// Experts of a test's own.
#pragma once

#include <algorithm>
#include <string>

#include "codmoe/experts/registry.h"

namespace codmoe::test {

/// register_expert() where the name is new: the registry lives as long as the process, in which GoogleTest can repeat a
/// test.
inline void register_once(const std::string& name, const experts::ExpertFactory& factory) {
  const auto names = experts::expert_names();
  if (std::ranges::find(names, name) == names.end()) experts::register_expert(name, factory);
}

}  // namespace codmoe::test
