#include "codmoe/moe/expert_parallel.h"

#include <fmt/format.h>

#include "codmoe/moe/sparse_codmoe.h"
#include "codmoe/nn/weights.h"
#include "expert_block.h"

namespace codmoe::moe {

namespace {

using Layers = std::vector<std::pair<std::string, SparseCODMoEImpl*>>;

Layers spread_layers(const torch::nn::Module& model) {
  Layers layers;
  for (const auto& item : model.named_modules()) {
    auto* layer = item.value()->as<SparseCODMoEImpl>();
    if (layer != nullptr && layer->group() != nullptr) layers.emplace_back(item.key(), layer);
  }
  return layers;
}

void add_owners(dist::Owners& owners, const std::string& layer_name, const SparseCODMoEImpl& layer) {
  const auto& pool = layer.pool();
  const auto experts = std::ssize(pool), ranks = layer.group()->ranks();
  for (int64_t rank = 0; rank < ranks; ++rank) {
    const auto block = expert_block(rank, ranks, experts);
    for (int64_t e = block.begin; e < block.end; ++e) {
      const auto prefix = fmt::format("{}{}experts.{}.", layer_name, layer_name.empty() ? "" : ".", e);
      for (const auto& item : nn::state_dict(*pool[static_cast<std::size_t>(e)])) owners[prefix + item.first] = rank;
    }
  }
}

}  // namespace

dist::Owners expert_owners(const torch::nn::Module& model) {
  dist::Owners owners;
  for (const auto& [name, layer] : spread_layers(model)) add_owners(owners, name, *layer);
  return owners;
}

std::set<std::string> experts_elsewhere(const torch::nn::Module& model) {
  std::set<std::string> names;
  for (const auto& [layer_name, layer] : spread_layers(model)) {
    dist::Owners owners;
    add_owners(owners, layer_name, *layer);
    for (const auto& [name, owner] : owners) {
      if (owner != layer->group()->rank()) names.insert(name);
    }
  }
  return names;
}

void gather_experts(torch::nn::Module& model, dist::Group& group) {
  dist::fill_from_owners(nn::state_dict(model), expert_owners(model), group);
}

}  // namespace codmoe::moe
