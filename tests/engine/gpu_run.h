// Steps on a GPU, for tests of what replaying them from a CUDA graph changes: nothing.
#pragma once

#include <ATen/ATen.h>

#include <functional>

#include "codmoe/core/seed.h"
#include "codmoe/engine/precision.h"
#include "codmoe/engine/train_step.h"
#include "codmoe/nn/weights.h"
#include "support/tensors.h"

namespace codmoe::engine::testing {

inline TrainOptions gpu_options(GraphUse graph, moe::Dispatch dispatch = moe::Dispatch::fused) {
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
inline std::vector<data::Batch> gpu_batches(uint64_t seed, int64_t count) {
  std::vector<data::Batch> batches;
  for (int64_t i = 0; i < count; ++i) {
    const int64_t size = seed % 2 == 0 ? 64 : 96;
    const auto noise = test::randn({4, 3, size, size}, 10 * seed + static_cast<uint64_t>(i));
    const auto images = (128 + 50 * noise).clamp(0, 255).to(at::kByte);
    batches.push_back({.images = images, .masks = (images.narrow(1, 0, 1) > 128).to(at::kByte) * 255, .names = {}});
  }
  return batches;
}

/// A detector and its steps, seeded and on the GPU.
struct GpuRun {
  explicit GpuRun(const TrainOptions& options, dist::Group* group = nullptr) {
    core::set_deterministic(options.engine.deterministic);
    core::seed_all(7);
    model = model::Detector(options.model);
    model->to(c10::kCUDA);
    to_channels_last(*model);
    model->train();
    step = std::make_unique<TrainStep>(model, options, c10::Device(c10::kCUDA, 0), group);
  }
  ~GpuRun() { core::set_deterministic(false); }
  GpuRun(const GpuRun&) = delete;
  GpuRun& operator=(const GpuRun&) = delete;

  model::Detector model{nullptr};
  std::unique_ptr<TrainStep> step;
};

inline StepValues gpu_values(int64_t i) {
  const double lr = 1.0 / static_cast<double>(1 + i);
  return {.step = i, .epoch = i / 4, .progress = static_cast<double>(i) / 14, .lr = {lr, 0.5 * lr}};
}

struct Outcome {
  test::TensorMap tensors;  ///< of model, optimizer and average
  std::vector<double> losses;
  std::vector<double> load;
  int64_t replays = 0;
};

/// Called before the i-th step.
using BeforeStep = std::function<void(GpuRun&, int64_t i)>;

/// Steps `first` to `end` of a run.
inline void gpu_steps(GpuRun& run, int64_t first, int64_t end, int64_t accumulate, Outcome& outcome,
                      const BeforeStep& before = {}) {
  for (int64_t i = first; i < end; ++i) {
    if (before) before(run, i);
    const auto batches = gpu_batches(static_cast<uint64_t>(i), accumulate);
    outcome.losses.push_back(run.step->run(batches, gpu_values(i)).item<double>());
    outcome.replays += run.step->replayed();
  }
}

inline void gpu_collect(GpuRun& run, Outcome& outcome) {
  outcome.load = run.step->meters()[0].take().load;
  for (const auto& [name, tensor] : nn::state_dict(*run.model)) outcome.tensors["model." + name] = tensor.cpu();
  for (const auto& [name, tensor] : run.step->optimizer().state()) outcome.tensors["optimizer." + name] = tensor.cpu();
  if (run.step->average() == nullptr) return;
  for (const auto& [name, tensor] : run.step->average()->state()) outcome.tensors["ema." + name] = tensor.cpu();
}

inline Outcome gpu_train(const TrainOptions& options, int64_t steps = 14, int64_t accumulate = 1,
                         const BeforeStep& before = {}, dist::Group* group = nullptr) {
  GpuRun run(options, group);
  Outcome outcome;
  gpu_steps(run, 0, steps, accumulate, outcome, before);
  gpu_collect(run, outcome);
  return outcome;
}

/// Runs `options` kernel by kernel and from graphs, and compares every bit of what comes out.
inline void expect_graph_changes_nothing(TrainOptions options, int64_t accumulate = 1, const BeforeStep& before = {}) {
  options.engine.graph = GraphUse::off;
  const auto eager = gpu_train(options, 14, accumulate, before);
  options.engine.graph = GraphUse::automatic;
  const auto graph = gpu_train(options, 14, accumulate, before);
  EXPECT_EQ(eager.replays, 0);
  EXPECT_GT(graph.replays, 0);
  EXPECT_EQ(graph.losses, eager.losses);
  EXPECT_EQ(graph.load, eager.load);
  EXPECT_TRUE(test::are_equal(graph.tensors, eager.tensors));
  EXPECT_NE(eager.losses.front(), eager.losses.back());
}

}  // namespace codmoe::engine::testing
