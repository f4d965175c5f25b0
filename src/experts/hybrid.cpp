#include "codmoe/experts/hybrid.h"

#include <ATen/ATen.h>

namespace codmoe::experts {

namespace {

/// Only carries a name: its children are `local.*` and `gate.*` in weights files.
class GroupImpl final : public torch::nn::Module {};

}  // namespace

HybridExpert::HybridExpert(const ExpertOptions& options) {
  const int64_t dim = options.dim, reduced = dim / 4;
  description_.convs = {
      {.name = "local.depthwise",
       .source = Source::input,
       .shape = {.in = dim, .out = dim, .kernel = 5, .groups = dim},
       .norm = "local.norm"},
      {.name = "local.pointwise",
       .source = Source::previous,
       .shape = {.in = dim, .out = dim},
       .bias = true,
       .gelu = true},
      {.name = "gate.reduce",
       .source = Source::pooled,
       .shape = {.in = dim, .out = reduced},
       .bias = true,
       .gelu = true},
      {.name = "gate.expand", .source = Source::pooled, .shape = {.in = reduced, .out = dim}, .bias = true},
      {.name = "fusion", .source = Source::branches, .shape = {.in = dim, .out = dim}, .bias = true}};
  const auto conv = [&](std::size_t i) {
    return nn::make_conv(description_.convs[i].shape, description_.convs[i].bias);
  };

  auto local = register_module("local", std::make_shared<GroupImpl>());
  depthwise_ = local->register_module("depthwise", conv(0));
  norm_ = local->register_module("norm", nn::Norm(options.norm, dim));
  pointwise_ = local->register_module("pointwise", conv(1));
  auto gate = register_module("gate", std::make_shared<GroupImpl>());
  reduce_ = gate->register_module("reduce", conv(2));
  expand_ = gate->register_module("expand", conv(3));
  fusion_ = register_module("fusion", conv(4));
}

at::Tensor HybridExpert::neighbourhood(const at::Tensor& x_bchw, const nn::SampleMask& mask_b) {
  return norm_->forward(depthwise_->forward(x_bchw), mask_b);
}

at::Tensor HybridExpert::gate(const at::Tensor& x_bchw) {
  const auto mean_bc11 = x_bchw.mean({2, 3}, /*keepdim=*/true);
  return at::sigmoid(expand_->forward(at::gelu(reduce_->forward(mean_bc11))));
}

at::Tensor HybridExpert::mixed(const at::Tensor& neighbourhood, const at::Tensor& gate) {
  return fusion_->forward(at::gelu(pointwise_->forward(neighbourhood)) * gate);
}

at::Tensor HybridExpert::forward(const at::Tensor& x_bchw, const nn::SampleMask& mask_b) {
  return mixed(neighbourhood(x_bchw, mask_b), gate(x_bchw)) + x_bchw;
}

at::Tensor HybridExpert::forward_at(const at::Tensor& x_bchw, const at::Tensor& positions_p) {
  const auto image_p = positions_p.div(x_bchw.size(2) * x_bchw.size(3), "floor");
  const auto near_1cp1 = gather_positions(neighbourhood(x_bchw, std::nullopt), positions_p);
  return mixed(near_1cp1, gather_positions(gate(x_bchw), image_p)) + gather_positions(x_bchw, positions_p);
}

}  // namespace codmoe::experts
