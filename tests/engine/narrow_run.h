// A detector's forward and backward under bfloat16 autocast, with NarrowWeights beside autocast's own casts.
#pragma once

#include <ATen/ATen.h>
#include <gtest/gtest.h>
#include <torch/nn/modules/conv.h>

#include <map>
#include <optional>
#include <string>
#include <vector>

#include "codmoe/core/seed.h"
#include "codmoe/engine/narrow_weights.h"
#include "codmoe/engine/precision.h"
#include "codmoe/model/detector.h"
#include "support/tensors.h"

namespace codmoe::engine::testing {

struct NarrowCase {
  std::string backbone;
  c10::DeviceType device;
  std::vector<int64_t> checkpoint;  ///< strides of the stages that the backward runs again, after the scope's end
};

struct NarrowRun {
  std::vector<at::Tensor> logits;
  std::map<std::string, at::Tensor> gradients;  ///< undefined where there is none
  int64_t narrow_convs = 0;                     ///< during the forward
};

/// Of a seeded detector, whose first parameters are frozen.
inline NarrowRun narrow_run(const NarrowCase& which, bool narrow) {
  core::seed_all(3);
  model::DetectorOptions options;
  options.backbone.name = which.backbone;
  options.backbone.checkpoint = which.checkpoint;
  options.decoder.width = 32;
  model::Detector model(options);
  model->to(which.device);
  to_channels_last(*model);
  model->eval();  // running statistics: batch norm's kernels are the same, without noise of tiny batches
  auto parameters = model->parameters();
  for (std::size_t i = 0; i < 4; ++i) parameters[i].set_requires_grad(false);
  const auto images = test::randn({2, 3, 64, 64}, 4).sigmoid().to(which.device, at::kFloat);
  const auto convs = [&](const auto& visit) {
    for (const auto& part : model->modules()) {
      if (const auto* conv = part->as<torch::nn::Conv2dImpl>()) visit(*conv, *part);
    }
  };
  NarrowWeights weights(*model, c10::kCUDA, Precision::bfloat16);  // of another device it would do nothing
  NarrowRun result;
  {
    const AutocastScope autocast(which.device, Precision::bfloat16);
    std::optional<NarrowWeights::Scope> scope;
    if (narrow) scope.emplace(weights);
    convs([&](const auto& conv, const auto&) {
      result.narrow_convs += conv.weight.scalar_type() == at::kBFloat16 ? 1 : 0;
    });
    result.logits = model->forward(images.contiguous(at::MemoryFormat::ChannelsLast)).logits;
  }
  at::Tensor sum;
  for (const auto& map : result.logits) {
    const auto part = map.to(at::kFloat).square().mean();
    sum = sum.defined() ? sum + part : part;
  }
  sum.backward();
  for (const auto& item : model->named_parameters()) result.gradients[item.key()] = item.value().grad();
  convs([&](const auto& conv, const auto& part) {
    EXPECT_TRUE(conv.weight.is_same(part.named_parameters(false)["weight"]));
  });
  return result;
}

/// The same bits, with copies and by autocast's own casts.
inline void expect_autocasts_numbers(const NarrowRun& found, const NarrowRun& wanted) {
  EXPECT_EQ(wanted.narrow_convs, 0);
  EXPECT_GT(found.narrow_convs, 5);
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

}  // namespace codmoe::engine::testing
