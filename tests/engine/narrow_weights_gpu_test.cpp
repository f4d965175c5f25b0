#include "codmoe/engine/narrow_weights.h"

#include <ATen/ATen.h>
#include <gtest/gtest.h>

#include <optional>

#include "codmoe/core/seed.h"
#include "codmoe/engine/precision.h"
#include "support/cuda.h"
#include "support/tensors.h"

namespace codmoe::engine {
namespace {

struct Run {
  std::vector<at::Tensor> logits;
  std::map<std::string, at::Tensor> gradients;  // undefined where there is none
};

/// Forward and backward of a seeded detector, whose first parameters are frozen.
Run run(const std::string& backbone, bool narrow) {
  core::seed_all(3);
  model::DetectorOptions options;
  options.backbone.name = backbone;
  options.decoder.width = 32;
  model::Detector model(options);
  model->to(c10::kCUDA);
  to_channels_last(*model);
  model->eval();  // running statistics: batch norm's kernels are the same, without noise of tiny batches
  auto parameters = model->parameters();
  for (std::size_t i = 0; i < 4; ++i) parameters[i].set_requires_grad(false);
  const auto images = test::randn({2, 3, 64, 64}, 4).sigmoid().to(c10::kCUDA, at::kFloat);
  NarrowWeights weights(*model, c10::kCUDA, Precision::bfloat16);
  Run result;
  {
    const AutocastScope autocast(c10::kCUDA, Precision::bfloat16);
    std::optional<NarrowWeights::Scope> scope;
    if (narrow) scope.emplace(weights);
    result.logits = model->forward(images.contiguous(at::MemoryFormat::ChannelsLast)).logits;
  }
  at::Tensor sum;
  for (const auto& map : result.logits) {
    const auto part = map.to(at::kFloat).square().mean();
    sum = sum.defined() ? sum + part : part;
  }
  sum.backward();
  for (const auto& item : model->named_parameters()) result.gradients[item.key()] = item.value().grad();
  for (const auto& part : model->modules()) {
    const auto* conv = part->as<torch::nn::Conv2dImpl>();
    if (conv != nullptr) {
      EXPECT_TRUE(conv->weight.is_same(part->named_parameters(false)["weight"]));
    }
  }
  return result;
}

TEST(NarrowWeightsGpu, GiveAutocastsNumbers) {
  if (!test::has_cuda()) GTEST_SKIP() << "no CUDA device";
  core::set_deterministic(true);
  for (const auto* backbone : {"pvt_v2_b0", "tf_efficientnet_lite0", "resnet18", "edgenext_xx_small"}) {
    SCOPED_TRACE(backbone);
    const auto wanted = run(backbone, false), found = run(backbone, true);
    for (std::size_t i = 0; i < wanted.logits.size(); ++i) EXPECT_TRUE(found.logits[i].equal(wanted.logits[i])) << i;
    int64_t present = 0;
    for (const auto& [name, gradient] : wanted.gradients) {
      const auto& own = found.gradients.at(name);
      ASSERT_EQ(own.defined(), gradient.defined()) << name;
      if (!gradient.defined()) continue;
      ++present;
      EXPECT_EQ(own.scalar_type(), at::kFloat) << name;
      EXPECT_TRUE(own.equal(gradient)) << name << " by " << test::deviation(own, gradient.to(at::kDouble));
    }
    EXPECT_GT(present, 20);
  }
  core::set_deterministic(false);
}

}  // namespace
}  // namespace codmoe::engine
