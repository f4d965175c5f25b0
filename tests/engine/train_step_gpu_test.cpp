// The step replayed from a CUDA graph beside the same run kernel by kernel.
#include "codmoe/engine/train_step.h"

#include <ATen/ATen.h>
#include <gtest/gtest.h>

#include "codmoe/core/seed.h"
#include "codmoe/engine/freezing.h"
#include "codmoe/engine/precision.h"
#include "codmoe/nn/weights.h"
#include "support/cuda.h"
#include "support/tensors.h"

namespace codmoe::engine {
namespace {

constexpr int64_t kSize = 64;

TrainOptions make_options(GraphUse graph, moe::Dispatch dispatch) {
  TrainOptions options;
  options.model.backbone = {.name = "pvt_v2_b0", .weights = {}, .drop_path = 0.3};
  options.model.moe.dispatch = dispatch;
  options.model.moe.router.noise = 0.5;
  options.model.moe.balance.start = 1;
  options.model.moe.balance.end = 3;
  options.model.moe.balance.max = 0.1;
  options.model.decoder.width = 32;
  options.optimizer.lr = 1e-3;
  options.engine.graph = graph;
  options.engine.deterministic = true;
  return options;
}

/// Another batch for every seed: images of two sizes in turn, so that there are two graphs.
std::vector<data::Batch> make_batches(uint64_t seed, int64_t count) {
  std::vector<data::Batch> batches;
  for (int64_t i = 0; i < count; ++i) {
    const auto size = seed % 2 == 0 ? kSize : kSize + 32;
    const auto noise = test::randn({4, 3, size, size}, 10 * seed + static_cast<uint64_t>(i));
    const auto images = (128 + 50 * noise).clamp(0, 255).to(at::kByte);
    batches.push_back({.images = images, .masks = (images.narrow(1, 0, 1) > 128).to(at::kByte) * 255, .names = {}});
  }
  return batches;
}

struct Outcome {
  test::TensorMap weights;
  std::vector<double> losses;
  std::vector<double> load;
  bool replayed = false;  // the last step
};

Outcome train(const TrainOptions& options, int64_t accumulate, int64_t steps) {
  core::set_deterministic(options.engine.deterministic);
  core::seed_all(7);
  model::Detector model(options.model);
  model->to(c10::kCUDA);
  to_channels_last(*model);
  model->train();
  TrainStep step(model, options, {c10::kCUDA, 0});
  Outcome outcome;
  for (int64_t i = 0; i < steps; ++i) {
    const auto batches = make_batches(static_cast<uint64_t>(i), accumulate);
    outcome.losses.push_back(
        step.run(batches, /*epoch=*/i / 4, /*lr_factor=*/1.0 / static_cast<double>(1 + i)).item<double>());
  }
  outcome.replayed = step.replayed();
  outcome.load = step.meters()[0].take().load;
  for (const auto& [name, tensor] : nn::state_dict(*model)) outcome.weights[name] = tensor.cpu();
  core::set_deterministic(false);
  return outcome;
}

TEST(TrainStepGpu, AGraphGivesTheSameNumbers) {
  if (!test::has_cuda()) GTEST_SKIP() << "no CUDA device";
  for (const int64_t accumulate : {1, 2}) {
    const auto eager = train(make_options(GraphUse::off, moe::Dispatch::fused), accumulate, 14);
    const auto graph = train(make_options(GraphUse::automatic, moe::Dispatch::fused), accumulate, 14);
    EXPECT_EQ(graph.losses, eager.losses);
    EXPECT_EQ(graph.load, eager.load);
    EXPECT_TRUE(test::are_equal(graph.weights, eager.weights));
    EXPECT_NE(eager.losses.front(), eager.losses.back());
  }
}

TEST(TrainStepGpu, AutoTakesDenseWhereFusedCannotRun) {
  if (!test::has_cuda()) GTEST_SKIP() << "no CUDA device";
  auto options = make_options(GraphUse::automatic, moe::Dispatch::automatic);
  options.model.moe.norm = nn::NormKind::group;
  const auto graph = train(options, 1, 8);
  EXPECT_TRUE(graph.replayed);
  options.model.moe.dispatch = moe::Dispatch::dense;
  options.engine.graph = GraphUse::off;
  const auto eager = train(options, 1, 8);
  EXPECT_FALSE(eager.replayed);
  EXPECT_EQ(graph.losses, eager.losses);
  EXPECT_TRUE(test::are_equal(graph.weights, eager.weights));
}

TEST(TrainStepGpu, ADispatchThatReadsOnTheHostRunsKernelByKernel) {
  if (!test::has_cuda()) GTEST_SKIP() << "no CUDA device";
  const auto eager = train(make_options(GraphUse::off, moe::Dispatch::batched), 1, 8);
  const auto automatic = train(make_options(GraphUse::automatic, moe::Dispatch::batched), 1, 8);
  EXPECT_FALSE(automatic.replayed);
  EXPECT_EQ(automatic.losses, eager.losses);
}

}  // namespace
}  // namespace codmoe::engine
