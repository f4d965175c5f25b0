// A step on several batches.
#include <ATen/ATen.h>
#include <gtest/gtest.h>

#include "codmoe/core/seed.h"
#include "codmoe/engine/train_step.h"
#include "codmoe/nn/weights.h"
#include "small_run.h"
#include "support/tensors.h"

namespace codmoe::engine {
namespace {

data::Batch batch_of(int64_t size, uint64_t seed) {
  const auto images = (128 + 50 * test::randn({2, 3, size, size}, seed)).clamp(0, 255).to(at::kByte);
  return {.images = images, .masks = (images.narrow(1, 0, 1) > 128).to(at::kByte) * 255, .names = {"a", "b"}};
}

core::TensorMap weights_after(const std::vector<data::Batch>& group) {
  core::seed_all(3);
  const auto options = testing::small_options("");
  model::Detector model(options.model);
  model->train();
  TrainStep(model, options, c10::kCPU).run(group, {});
  core::TensorMap weights;
  for (const auto& [name, tensor] : nn::state_dict(*model)) weights[name] = tensor.clone();
  return weights;
}

/// Router noise and running statistics would tell the orders apart.
TEST(Accumulation, SizesInAnyOrderAreOneStep) {
  const auto small = batch_of(32, 1), middle = batch_of(64, 2), large = batch_of(96, 3);
  const auto sorted = weights_after({small, middle, large});
  EXPECT_TRUE(test::are_equal(weights_after({large, small, middle}), sorted));
  EXPECT_TRUE(test::are_equal(weights_after({middle, large, small}), sorted));
}

TEST(Accumulation, BatchesOfOneSizeKeepTheirOrder) {
  const auto first = batch_of(32, 1), second = batch_of(32, 2);
  EXPECT_FALSE(test::are_equal(weights_after({first, second}), weights_after({second, first})));
}

}  // namespace
}  // namespace codmoe::engine
