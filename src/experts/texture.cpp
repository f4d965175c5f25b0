#include "codmoe/experts/texture.h"

#include <ATen/ops/cat.h>
#include <fmt/format.h>
#include <torch/nn/modules/container/modulelist.h>

#include "codmoe/experts/branched.h"

namespace codmoe::experts {

/// A cna with a 1x1 reduction before it, all three parts under one name.
class TextureExpert::BranchImpl final : public nn::ConvNormActImpl {
 public:
  BranchImpl(const nn::ConvShape& reduce, const nn::ConvShape& conv, nn::NormKind norm)
      : ConvNormActImpl(conv, norm), reduce_(register_module("reduce", nn::make_conv(reduce, /*bias=*/true))) {}

  at::Tensor forward(const at::Tensor& x_bchw, const nn::SampleMask& mask_b) {
    return ConvNormActImpl::forward(reduce_->forward(x_bchw), mask_b);
  }

 private:
  torch::nn::Conv2d reduce_;
};

TextureExpert::TextureExpert(const ExpertOptions& options) {
  auto list = register_module("branches", torch::nn::ModuleList());
  const auto widths = branch_widths(options.dim);
  for (std::size_t i = 0; i < widths.size(); ++i) {
    const nn::ConvShape reduce{.in = options.dim, .out = widths[i]};
    const nn::ConvShape conv{.in = widths[i], .out = widths[i], .kernel = 3, .dilation = int64_t{1} << i};
    description_.convs.push_back(
        {.name = fmt::format("branches.{}.reduce", i), .source = Source::input, .shape = reduce, .bias = true});
    description_.convs.push_back({.name = fmt::format("branches.{}.conv", i),
                                  .source = Source::previous,
                                  .shape = conv,
                                  .norm = fmt::format("branches.{}.norm", i),
                                  .gelu = true});
    branches_.push_back(std::make_shared<BranchImpl>(reduce, conv, options.norm));
    list->push_back(branches_.back());
  }
  const nn::ConvShape fusion{.in = options.dim, .out = options.dim};
  description_.convs.push_back(
      {.name = "fusion.conv", .source = Source::branches, .shape = fusion, .norm = "fusion.norm", .gelu = true});
  fusion_ = register_module("fusion", nn::ConvNormAct(fusion, options.norm));
}

at::Tensor TextureExpert::forward(const at::Tensor& x_bchw, const nn::SampleMask& mask_b) {
  std::vector<at::Tensor> maps;
  for (auto& branch : branches_) maps.push_back(branch->forward(x_bchw, mask_b));
  return fusion_->forward(at::cat(maps, 1), mask_b) + x_bchw;
}

at::Tensor TextureExpert::forward_at(const at::Tensor& x_bchw, const at::Tensor& positions_p) {
  if (!saves_at_positions()) return Expert::forward_at(x_bchw, positions_p);
  std::vector<at::Tensor> maps;
  for (auto& branch : branches_) maps.push_back(gather_positions(branch->forward(x_bchw, std::nullopt), positions_p));
  return fusion_->forward(at::cat(maps, 1)) + gather_positions(x_bchw, positions_p);
}

}  // namespace codmoe::experts
