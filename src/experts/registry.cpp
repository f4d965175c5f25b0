#include "codmoe/experts/registry.h"

#include <fmt/format.h>
#include <fmt/ranges.h>

#include <algorithm>

#include "codmoe/core/error.h"
#include "codmoe/experts/attention.h"
#include "codmoe/experts/contrast.h"
#include "codmoe/experts/edge.h"
#include "codmoe/experts/frequency.h"
#include "codmoe/experts/hybrid.h"
#include "codmoe/experts/texture.h"

namespace codmoe::experts {

namespace {

struct Entry {
  std::string name;
  ExpertFactory make;
};

template <class T>
ExpertPtr make(const ExpertOptions& options) {
  return std::make_shared<T>(options);
}

std::vector<Entry>& entries() {
  static std::vector<Entry> list = {
      {"texture", make<TextureExpert>},   {"frequency", make<FrequencyExpert>}, {"edge", make<EdgeExpert>},
      {"contrast", make<ContrastExpert>}, {"attention", make<AttentionExpert>}, {"hybrid", make<HybridExpert>},
  };
  return list;
}

const Entry* find(const std::string& name) {
  const auto found = std::ranges::find(entries(), name, &Entry::name);
  return found == entries().end() ? nullptr : &*found;
}

}  // namespace

void register_expert(const std::string& name, ExpertFactory factory) {
  if (find(name)) throw core::Error(fmt::format("an expert named '{}' is registered already", name));
  entries().push_back({name, std::move(factory)});
}

ExpertPtr make_expert(const std::string& name, const ExpertOptions& options) {
  const auto* entry = find(name);
  if (!entry) {
    throw core::UsageError(fmt::format("there is no expert '{}'; known are {}", name, fmt::join(expert_names(), ", ")));
  }
  if (options.dim < 4) throw core::UsageError(fmt::format("an expert needs at least 4 channels, not {}", options.dim));
  return entry->make(options);
}

std::vector<std::string> expert_names() {
  std::vector<std::string> list;
  for (const auto& entry : entries()) list.push_back(entry.name);
  return list;
}

}  // namespace codmoe::experts
