#include "codmoe/moe/expert_parallel.h"

#include <fmt/format.h>

#include "codmoe/moe/sparse_codmoe.h"
#include "codmoe/nn/weights.h"
#include "expert_block.h"

namespace codmoe::moe {

namespace {

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
  for (const auto& item : model.named_modules()) {
    const auto* layer = item.value()->as<SparseCODMoEImpl>();
    if (layer != nullptr && layer->group() != nullptr) add_owners(owners, item.key(), *layer);
  }
  return owners;
}

void gather_experts(torch::nn::Module& model, dist::Group& group) {
  dist::fill_from_owners(nn::state_dict(model), expert_owners(model), group);
}

}  // namespace codmoe::moe
