#include "codmoe/experts/branched.h"

#include <ATen/ops/cat.h>
#include <fmt/format.h>
#include <torch/nn/modules/container/modulelist.h>

namespace codmoe::experts {

std::array<int64_t, 4> branch_widths(int64_t dim) {
  const int64_t r = dim / 4;
  return {r, r, r, dim - 3 * r};
}

BranchedExpert::BranchedExpert(const ExpertOptions& options, const std::vector<Branch>& branches) {
  auto list = register_module("branches", torch::nn::ModuleList());
  for (std::size_t i = 0; i < branches.size(); ++i) {
    description_.convs.push_back({.name = fmt::format("branches.{}.conv", i),
                                  .source = branches[i].source,
                                  .shape = branches[i].shape,
                                  .norm = fmt::format("branches.{}.norm", i),
                                  .gelu = true});
    branches_.emplace_back(branches[i].shape, options.norm);
    list->push_back(branches_.back());
  }
  const nn::ConvShape fusion{.in = options.dim, .out = options.dim};
  description_.convs.push_back(
      {.name = "fusion.conv", .source = Source::branches, .shape = fusion, .norm = "fusion.norm", .gelu = true});
  fusion_ = register_module("fusion", nn::ConvNormAct(fusion, options.norm));
}

at::Tensor BranchedExpert::forward(const at::Tensor& x_bchw, const nn::SampleMask& mask_b) {
  auto maps = sources(x_bchw);
  for (std::size_t i = 0; i < maps.size(); ++i) maps[i] = branches_[i]->forward(maps[i], mask_b);
  return fusion_->forward(at::cat(maps, 1), mask_b) + x_bchw;
}

at::Tensor BranchedExpert::forward_at(const at::Tensor& x_bchw, const at::Tensor& positions_p) {
  if (!saves_at_positions()) return Expert::forward_at(x_bchw, positions_p);
  auto maps = sources(x_bchw);
  for (std::size_t i = 0; i < maps.size(); ++i) {
    const bool neighbours = description_.convs[i].shape.kernel > 1;
    maps[i] = neighbours ? gather_positions(branches_[i]->forward(maps[i]), positions_p)
                         : branches_[i]->forward(gather_positions(maps[i], positions_p));
  }
  return fusion_->forward(at::cat(maps, 1)) + gather_positions(x_bchw, positions_p);
}

}  // namespace codmoe::experts
