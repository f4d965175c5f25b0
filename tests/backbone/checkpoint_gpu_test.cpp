// Recomputed stages on a GPU: its generator and its autocast must be those of the first run.
#include <ATen/ATen.h>
#include <ATen/autocast_mode.h>
#include <gtest/gtest.h>

#include "codmoe/backbone/registry.h"
#include "fill.h"
#include "support/cuda.h"

namespace codmoe::backbone {
namespace {

const c10::Device kGpu(c10::kCUDA, 0);

/// Gradients of the sum of the features' squares under bfloat16 autocast, with stochastic depth.
core::TensorMap gradients_with(const std::string& name, const std::vector<int64_t>& checkpoint) {
  const auto backbone = make_backbone({.name = name, .drop_path = 0.5, .checkpoint = checkpoint});
  testing::fill_module(*backbone);
  backbone->to(kGpu);
  const auto images = testing::uniform("input", {8, 3, 64, 64}).to(at::kFloat).to(kGpu);
  at::manual_seed(4);
  at::autocast::set_autocast_dtype(c10::kCUDA, at::kBFloat16);
  at::autocast::set_autocast_enabled(c10::kCUDA, true);
  const auto features = backbone->forward(images.contiguous(at::MemoryFormat::ChannelsLast));
  at::autocast::set_autocast_enabled(c10::kCUDA, false);
  at::autocast::clear_cache();
  auto loss = at::zeros({}, kGpu);
  for (const auto& feature : features) loss = loss + feature.to(at::kFloat).square().mean();
  loss.backward();
  core::TensorMap gradients;
  for (const auto& item : backbone->named_parameters()) gradients[item.key()] = item.value().grad().to(at::kDouble);
  return gradients;
}

class CheckpointGpu : public ::testing::TestWithParam<std::string> {};

TEST_P(CheckpointGpu, GivesTheSameGradients) {
  if (!test::has_cuda()) GTEST_SKIP() << "no CUDA device";
  const auto expected = gradients_with(GetParam(), {});
  const auto gradients = gradients_with(GetParam(), {4, 8, 16, 32});
  for (const auto& [name, gradient] : expected) {
    // Room for sums in another order; other random masks would differ by about the gradient itself.
    const auto error = (gradients.at(name) - gradient).norm() / gradient.norm().clamp_min(1e-12);
    EXPECT_LT(error.item<double>(), 1e-2) << name;
  }
}

INSTANTIATE_TEST_SUITE_P(Families, CheckpointGpu,
                         ::testing::Values("resnet18", "edgenext_xx_small", "tf_efficientnet_lite0"),
                         [](const auto& name) { return name.param; });

}  // namespace
}  // namespace codmoe::backbone
