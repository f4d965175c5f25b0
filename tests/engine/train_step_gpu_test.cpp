// The step replayed from a CUDA graph beside the same run kernel by kernel.
#include "codmoe/engine/train_step.h"

#include <gtest/gtest.h>

#include <algorithm>
#include <torch/csrc/distributed/c10d/HashStore.hpp>

#include "codmoe/engine/checkpoint.h"
#include "codmoe/engine/freezing.h"
#include "codmoe/engine/predictor.h"
#include "gpu_run.h"
#include "support/cuda.h"
#include "support/temporary_folder.h"

namespace codmoe::engine {
namespace {

using testing::expect_graph_changes_nothing;
using testing::gpu_options;

TEST(TrainStepGpu, AGraphGivesTheSameNumbers) {
  if (!test::has_cuda()) GTEST_SKIP() << "no CUDA device";
  for (const int64_t accumulate : {1, 2}) expect_graph_changes_nothing(gpu_options(GraphUse::automatic), accumulate);
}

TEST(TrainStepGpu, SizesInAnyOrderShareAGraph) {
  if (!test::has_cuda()) GTEST_SKIP() << "no CUDA device";
  testing::GpuRun run(gpu_options(GraphUse::automatic));
  auto group = testing::gpu_batches(0, 1);              // of 64 pixels
  group.push_back(testing::gpu_batches(1, 1).front());  // of 96
  for (int64_t i = 0; i < 5; ++i) {
    run.step->run(group, testing::gpu_values(i));
    EXPECT_EQ(run.step->replayed(), i >= 2) << i;
    std::ranges::reverse(group);
  }
}

TEST(TrainStepGpu, ADispatchThatReadsOnTheHostRunsKernelByKernel) {
  if (!test::has_cuda()) GTEST_SKIP() << "no CUDA device";
  const auto eager = testing::gpu_train(gpu_options(GraphUse::off, moe::Dispatch::batched), 8);
  const auto automatic = testing::gpu_train(gpu_options(GraphUse::automatic, moe::Dispatch::batched), 8);
  EXPECT_EQ(automatic.losses, eager.losses);
  EXPECT_EQ(automatic.replays, 0);
}

TEST(TrainStepGpu, AutoTakesDenseWhereFusedCannotRun) {
  if (!test::has_cuda()) GTEST_SKIP() << "no CUDA device";
  auto options = gpu_options(GraphUse::automatic, moe::Dispatch::automatic);
  options.model.moe.norm = nn::NormKind::group;
  const auto graph = testing::gpu_train(options, 8);
  EXPECT_GT(graph.replays, 0);
  options.model.moe.dispatch = moe::Dispatch::dense;
  options.engine.graph = GraphUse::off;
  const auto eager = testing::gpu_train(options, 8);
  EXPECT_EQ(eager.replays, 0);
  EXPECT_EQ(graph.losses, eager.losses);
  EXPECT_TRUE(test::are_equal(graph.tensors, eager.tensors));
}

/// Collectives of one rank, which NCCL runs all the same, in the graph too. Not to the bit: gradients in buckets have
/// their parameters' memory order, in which the norm's sum rounds otherwise.
TEST(TrainStepGpu, OneRankGivesTheNumbersOfNone) {
  if (!test::has_cuda()) GTEST_SKIP() << "no CUDA device";
  auto options = gpu_options(GraphUse::automatic);
  options.optimizer.name = "sgd";  // AdamW takes a gradient's last bits for a whole step where it is near zero
  options.engine.ema.decay = 0.9;
  const auto alone = testing::gpu_train(options, 8, /*accumulate=*/2);
  dist::Group group(c10::make_intrusive<c10d::HashStore>(), 0, 1, c10::Device(c10::kCUDA, 0));
  for (const bool shard : {false, true}) {
    options.engine.ranks.shard_optimizer = shard;
    const auto ranked = testing::gpu_train(options, 8, /*accumulate=*/2, /*before=*/{}, &group);
    EXPECT_GT(ranked.replays, 0);
    for (std::size_t i = 0; i < alone.losses.size(); ++i) EXPECT_NEAR(ranked.losses[i], alone.losses[i], 1e-4) << i;
    for (const auto& [name, tensor] : alone.tensors) {
      if (!name.starts_with("model.")) continue;
      EXPECT_TRUE(at::allclose(ranked.tensors.at(name), tensor, 1e-3, 1e-4)) << name;
    }
  }
}

TEST(TrainStepGpu, EveryOptimizerGivesTheSameNumbers) {
  if (!test::has_cuda()) GTEST_SKIP() << "no CUDA device";
  for (const auto* name : {"adamw", "sgd", "lion"}) {
    for (const bool by_norm : {true, false}) {
      SCOPED_TRACE(name);
      auto options = gpu_options(GraphUse::automatic);
      options.optimizer.name = name;
      options.optimizer.sgd.nesterov = true;
      options.optimizer.clip_norm = by_norm ? 1.0 : 0.0;
      options.optimizer.clip_value = by_norm ? 0.0 : 0.01;
      expect_graph_changes_nothing(options);
    }
  }
}

TEST(TrainStepGpu, AverageAndLossTermsGiveTheSameNumbers) {
  if (!test::has_cuda()) GTEST_SKIP() << "no CUDA device";
  auto options = gpu_options(GraphUse::automatic);
  options.engine.ema = {.decay = 0.9, .warmup = true};
  options.loss.structure.level_weights = {1.0, 0.5, 0.25, 0.0};
  options.loss.edge = 0.3;
  options.loss.uncertainty = {.weight = 0.5, .start = 0.1, .end = 0.9};
  expect_graph_changes_nothing(options);
}

TEST(TrainStepGpu, Bfloat16GivesTheSameNumbers) {
  if (!test::has_cuda()) GTEST_SKIP() << "no CUDA device";
  auto options = gpu_options(GraphUse::automatic);
  options.engine.precision = Precision::bfloat16;
  expect_graph_changes_nothing(options);
}

/// With the uncertainty's coefficient the squares of gradients overflow in two of the steps that are replayed.
TEST(TrainStepGpu, AStepThatIsNotFiniteIsLeftOutInAGraphToo) {
  if (!test::has_cuda()) GTEST_SKIP() << "no CUDA device";
  auto options = gpu_options(GraphUse::automatic);
  options.engine.ema.decay = 0.9;
  options.loss.uncertainty = {.weight = 3e38, .start = 0.60, .end = 0.61};  // up to step 8 of 14 it is 0
  const auto tensors_after = [&](int64_t steps) { return testing::gpu_train(options, steps).tensors; };
  auto before = tensors_after(9), after = tensors_after(11);
  EXPECT_EQ(after.at("optimizer.skipped").item<float>(), 2.0F);
  EXPECT_EQ(after.at("optimizer.skipped_in_row").item<float>(), 2.0F);
  for (const auto& [name, tensor] : before) {
    if (name.find("skipped") != std::string::npos || name.ends_with("num_batches_tracked")) continue;
    EXPECT_TRUE(tensor.equal(after.at(name))) << name;
  }
}

TEST(TrainStepGpu, FreezingBetweenReplaysGivesTheSameNumbers) {
  if (!test::has_cuda()) GTEST_SKIP() << "no CUDA device";
  auto options = gpu_options(GraphUse::automatic);
  options.model.backbone.freeze_epochs = 1;
  options.model.backbone.unfreeze_every = 1;
  expect_graph_changes_nothing(options, 1, [&](testing::GpuRun& run, int64_t i) {
    if (i % 7 == 0) freeze_for_epoch(*run.model, run.step->optimizer(), options.model.backbone, i / 7);
  });
}

TEST(TrainStepGpu, PredictingBetweenReplaysGivesTheSameNumbers) {
  if (!test::has_cuda()) GTEST_SKIP() << "no CUDA device";
  auto options = gpu_options(GraphUse::automatic);
  options.engine.ema.decay = 0.9;
  const auto image = (128 + 50 * test::randn({50, 70, 3}, 99)).clamp(0, 255).to(at::kByte);
  std::vector<at::Tensor> maps;
  expect_graph_changes_nothing(options, 1, [&](testing::GpuRun& run, int64_t i) {
    if (i % 5 != 4) return;
    const AveragedWeights averaged(run.step->average());
    Predictor predictor(run.model, {c10::kCUDA, 0}, 64, options.engine);
    maps.push_back(predictor.predict({predictor.prepare(image)}).maps()[0]);
    run.model->train();
  });
  ASSERT_EQ(maps.size(), 4U);  // two of the run kernel by kernel, two of the other
  EXPECT_TRUE(maps[0].equal(maps[2]));
  EXPECT_TRUE(maps[1].equal(maps[3]));
}

TEST(TrainStepGpu, ARunResumedFromACapturedStepGivesTheSameNumbers) {
  if (!test::has_cuda()) GTEST_SKIP() << "no CUDA device";
  const test::TemporaryFolder folder;
  for (const auto* name : {"adamw", "sgd", "lion"}) {
    auto options = gpu_options(GraphUse::automatic);
    options.optimizer.name = name;
    options.engine.ema.decay = 0.9;
    const auto alone = testing::gpu_train(options);
    testing::Outcome resumed;
    {
      testing::GpuRun run(options);
      testing::gpu_steps(run, 0, 8, 1, resumed);
      EXPECT_GT(resumed.replays, 0);
      CheckpointStore(folder / name)
          .save(*run.model, training_state(run.step->optimizer()), run.step->average(), {.step = 8},
                core::write_options(options), "", 1);
    }
    testing::GpuRun run(options);
    const auto step = folder / name / "step-8";
    nn::load_state(*run.model, core::load_safetensors(step / "model.safetensors").tensors, {});
    restore_training_state(step, run.step->optimizer());
    restore_average(step, run.step->average());
    testing::gpu_steps(run, 8, 14, 1, resumed);
    testing::gpu_collect(run, resumed);
    EXPECT_EQ(resumed.losses, alone.losses);
    EXPECT_TRUE(test::are_equal(resumed.tensors, alone.tensors));
  }
}

}  // namespace
}  // namespace codmoe::engine
