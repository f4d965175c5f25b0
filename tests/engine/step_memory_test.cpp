#include "codmoe/engine/step_memory.h"

#include <ATen/ATen.h>
#include <gtest/gtest.h>

#include "codmoe/core/memory_meter.h"
#include "codmoe/engine/train_step.h"
#include "codmoe/nn/weights.h"
#include "small_run.h"

namespace codmoe::engine {
namespace {

/// One expert, so that the choice of the router decides nothing.
TrainOptions one_expert() {
  auto options = testing::small_options("");
  options.model.moe.experts = {"texture"};
  options.model.moe.top_k = 1;
  return options;
}

TEST(StepMemory, PredictsTheStepOfALargerBatch) {
  const auto options = one_expert();
  const auto memory = measure_step_memory(options);
  const core::MemoryMeter meter;
  model::Detector model(options.model);
  model->train();
  TrainStep step(model, options, c10::kCPU);
  const auto bytes = at::device(at::kCPU).dtype(at::kByte);
  step.run({{.images = at::zeros({12, 3, 64, 64}, bytes), .masks = at::zeros({12, 1, 64, 64}, bytes), .names = {}}},
           StepValues());
  const auto measured = static_cast<double>(meter.peak());
  EXPECT_NEAR(static_cast<double>(memory.of(12)), measured, 0.1 * measured);
  // Weights, their gradients and two moments of the optimizer, 4 bytes each.
  EXPECT_GE(memory.fixed, 12 * nn::count_parameters(*model));
}

TEST(StepMemory, BatchThatFitsLeavesAFifth) {
  const StepMemory memory{.fixed = 100, .per_image = 10};
  EXPECT_EQ(memory.of(4), 140);
  EXPECT_EQ(fitting_batch_size(memory, 500), 30);  // 0.8 * 500 - 100
  EXPECT_EQ(fitting_batch_size(memory, 120), 0);
}

TEST(StepMemory, MessageSaysWhatToLowerAndByHowMuch) {
  constexpr int64_t gib = int64_t{1} << 30;
  TrainOptions options;
  options.data.loader.batch_size = 32;
  options.engine.accumulate = 2;
  const StepMemory memory{.fixed = 2 * gib, .per_image = gib};
  EXPECT_EQ(out_of_memory_message(options, memory, {}, 20 * gib),
            "the GPU's memory does not hold a step: 34.0 GiB for a batch of 32 at 352 pixels, of which 20.0 GiB can be "
            "had; lower data.loader.batch_size to 14, or to 11 with engine.accumulate=6 for the same step");
  EXPECT_NE(out_of_memory_message(options, memory, {}, 2 * gib).find("lower data.loader.size"), std::string::npos);
}

TEST(StepMemory, MessageSaysWhichSamplesTakeRoom) {
  constexpr int64_t gib = int64_t{1} << 30;
  TrainOptions options;
  options.data.loader.batch_size = 32;
  const StepMemory memory{.fixed = 2 * gib, .per_image = gib};
  const auto both =
      out_of_memory_message(options, memory, {.training = 12 * gib, .validation = 3 * gib + gib / 2}, 20 * gib);
  const std::string what = "engine.accumulate=3 for the same step; data.cache=ram frees 12.0 GiB of training samples";
  EXPECT_TRUE(both.ends_with(what +
                             "; engine.val_resolution=original frees 3.5 GiB of validation samples; without them "
                             "a batch of 26 fits"))  // 0.8 * 35.5 - 2
      << both;
  const auto one = out_of_memory_message(options, memory, {.training = 12 * gib, .validation = 1 << 20}, 20 * gib);
  EXPECT_TRUE(one.ends_with(what + "; without them a batch of 23 fits")) << one;  // 0.8 * 32 - 2
  const auto none = out_of_memory_message(options, memory, {.training = 12 * gib, .validation = 0}, 2 * gib);
  EXPECT_TRUE(
      none.ends_with("take a smaller backbone; data.cache=ram frees 12.0 GiB of training samples; without them "
                     "a batch of 9 fits"))  // 0.8 * 14 - 2
      << none;
  const auto whole = out_of_memory_message(options, memory, {.training = 60 * gib, .validation = 0}, 20 * gib);
  EXPECT_TRUE(whole.ends_with("without them a batch of 32 fits")) << whole;
}

TEST(StepMemory, EstimateThatSaysItFitsStillAsksForLess) {
  TrainOptions options;
  options.data.loader.batch_size = 16;
  const auto message = out_of_memory_message(options, {.fixed = 1, .per_image = 1}, {}, 1 << 20);
  EXPECT_NE(message.find("batch_size to 14,"), std::string::npos) << message;
  const auto kept =
      out_of_memory_message(options, {.fixed = 1, .per_image = 1}, {.training = int64_t{1} << 30}, 1 << 20);
  EXPECT_TRUE(kept.ends_with("data.cache=ram frees 1.0 GiB of training samples")) << kept;  // that may not be enough
}

}  // namespace
}  // namespace codmoe::engine
