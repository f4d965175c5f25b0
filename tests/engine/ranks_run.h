// Steps of several ranks, and of one that has the whole batch.
#pragma once

#include <ATen/ATen.h>
#include <gtest/gtest.h>

#include <mutex>

#include "codmoe/engine/train_step.h"
#include "codmoe/nn/weights.h"
#include "small_run.h"
#include "support/ranks.h"
#include "support/tensors.h"

namespace codmoe::engine::testing {

constexpr int64_t kSteps = 20;
constexpr double kTolerance = 1e-10;

/// The first `rows` rows of a batch of eight.
inline data::Batch whole_batch(int64_t step, int64_t rows) {
  const auto images = (128 + 50 * test::randn({rows, 3, 32, 32}, static_cast<uint64_t>(step))).clamp(0, 255);
  return {.images = images.to(at::kByte), .masks = (images.narrow(1, 0, 1) > 128).to(at::kByte) * 255, .names = {}};
}

inline data::Batch part_of(const data::Batch& whole, const dist::Group& group) {
  const auto rows = whole.images.size(0), first = rows * group.rank() / group.ranks();
  const auto count = rows * (group.rank() + 1) / group.ranks() - first;
  return {.images = whole.images.narrow(0, first, count),
          .masks = whole.masks.narrow(0, first, count),
          .names = {},
          .shared_rows = rows};
}

inline TrainOptions options_for_ranks() {
  auto options = small_options("");
  options.model.moe.router.noise = 0.0;
  options.model.moe.balance = {
      .method = moe::BalanceMethod::loss, .min = 0.01, .max = 0.02, .entropy = 0.01, .z = 0.01};
  options.engine.ranks.sync_norm = true;
  options.engine.ema.decay = 0.9;
  return options;
}

inline model::Detector make_model(const TrainOptions& options, dist::Group* group = nullptr) {
  static std::mutex mutex;  // LibTorch's generator belongs to all threads
  const std::scoped_lock lock(mutex);
  at::manual_seed(5);
  model::Detector model(options.model);
  model->to(at::kDouble);
  model->train();
  if (options.engine.ranks.spread_experts && group != nullptr) {
    for (auto& layer : model->moe_layers()) layer->spread(*group);
  }
  return model;
}

struct Outcome {
  std::vector<double> losses;
  std::vector<float> norms;  // of gradients
  core::TensorMap weights, averages;
};

/// Steps on two batches each, the second of them one row short.
inline Outcome train(const TrainOptions& options, dist::Group* group, int64_t steps = kSteps) {
  const auto model = make_model(options, group);
  TrainStep step(model, options, c10::kCPU, group);
  Outcome outcome;
  for (int64_t i = 0; i < steps; ++i) {
    std::vector<data::Batch> batches{whole_batch(2 * i, 8), whole_batch(2 * i + 1, 7)};
    if (group != nullptr) {
      for (auto& batch : batches) batch = part_of(batch, *group);
    }
    outcome.losses.push_back(step.run(batches, {.step = i}).item<double>());
    outcome.norms.push_back(step.optimizer().gradient_norm().item<float>());
  }
  step.gather_experts();
  outcome.weights = nn::state_dict(*model);
  outcome.averages = step.average()->state();
  return outcome;
}

inline void expect_close(const core::TensorMap& actual, const core::TensorMap& expected) {
  ASSERT_EQ(actual.size(), expected.size());
  for (const auto& [name, tensor] : expected) {
    EXPECT_TRUE(at::allclose(actual.at(name).to(at::kDouble), tensor.to(at::kDouble), kTolerance, kTolerance)) << name;
  }
}

inline void expect_same_as_one(const TrainOptions& options, int64_t ranks, int64_t steps = kSteps) {
  const auto expected = train(options, nullptr, steps);
  test::run_ranks(ranks, [&](dist::Group& group) {
    const auto actual = train(options, &group, steps);
    for (std::size_t i = 0; i < expected.losses.size(); ++i) {
      EXPECT_NEAR(actual.losses[i], expected.losses[i], kTolerance * std::abs(expected.losses[i])) << i;
      EXPECT_FLOAT_EQ(actual.norms[i], expected.norms[i]) << i;
    }
    expect_close(actual.weights, expected.weights);
    expect_close(actual.averages, expected.averages);
  });
}

}  // namespace codmoe::engine::testing
