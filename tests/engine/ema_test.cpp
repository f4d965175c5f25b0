#include "codmoe/engine/ema.h"

#include <ATen/ATen.h>
#include <ATen/core/grad_mode.h>
#include <gtest/gtest.h>
#include <torch/nn/modules/batchnorm.h>

#include <fstream>

#include "codmoe/engine/predictor.h"
#include "codmoe/engine/trainer.h"
#include "small_run.h"
#include "support/temporary_folder.h"
#include "support/tensors.h"

namespace codmoe::engine {
namespace {

namespace fs = std::filesystem;

/// Against timm's ModelEmaV3: see make_training_vectors.py.
TEST(WeightAverage, AgreesWithTimm) {
  const at::NoGradGuard no_grad;
  const auto file = core::load_safetensors(CODMOE_SOURCE_DIR "/tests/engine/data/ema.safetensors").tensors;
  const auto& values = file.at("values");
  for (const bool warmup : {false, true}) {
    const auto expected = test::with_prefix(file, warmup ? "warmup." : "constant.");
    torch::nn::BatchNorm1d model(4);
    const auto set = [&](int64_t n) {
      model->weight.copy_(values[n]);
      model->running_mean.copy_(-values[n]);
      model->num_batches_tracked.fill_(n);
    };
    set(0);
    WeightAverage average(*model);
    for (int64_t n = 1; n < values.size(0); ++n) {
      set(n);
      average.update(at::full({}, 1 - ema_decay({.decay = 0.7, .warmup = warmup}, n)), at::zeros({}));
      EXPECT_TRUE(test::is_near(average.state().at("weight"), expected.at("weight")[n - 1], 1e-6)) << n;
      EXPECT_TRUE(test::is_near(average.state().at("running_mean"), expected.at("running_mean")[n - 1], 1e-6)) << n;
    }
    EXPECT_TRUE(average.state().at("num_batches_tracked").equal(expected.at("num_batches_tracked")));
  }
}

TEST(WeightAverage, StaysWhereTheStepIsLeftOut) {
  torch::nn::BatchNorm1d model(4);
  WeightAverage average(*model);
  const at::NoGradGuard no_grad;
  model->weight.fill_(NAN);
  average.update(at::full({}, 0.5), /*left_out=*/at::ones({}));
  EXPECT_TRUE(average.state().at("weight").equal(at::ones({4})));
}

TEST(AveragedWeights, AreThereAndGoWithoutATrace) {
  torch::nn::BatchNorm1d model(4);
  WeightAverage average(*model);
  const at::NoGradGuard no_grad;
  model->weight.fill_(3.0);
  const auto* address = model->weight.const_data_ptr();
  {
    const AveragedWeights averaged(&average);
    EXPECT_TRUE(model->weight.equal(at::ones({4})));
    EXPECT_EQ(model->weight.const_data_ptr(), address);
  }
  EXPECT_TRUE(model->weight.equal(at::full({4}, 3.0)));
  EXPECT_TRUE(average.state().at("weight").equal(at::ones({4})));
}

class EmaRun : public ::testing::Test {
 protected:
  void SetUp() override {
    options_ = testing::small_options(testing::small_dataset(folder_));
    options_.data.val.dir = options_.data.train.dir;
    options_.schedule = {.epochs = 2, .warmup_epochs = 0.5};
    options_.engine.ema.decay = 0.5;
  }
  fs::path train() {
    Trainer(options_, folder_ / "run", c10::kCPU).run();
    return find_checkpoint(folder_ / "run", /*prefer_best=*/false);
  }

  test::TemporaryFolder folder_;
  TrainOptions options_;
};

TEST_F(EmaRun, SavesValidatesAndPredictsByTheAverage) {
  const auto step = train();
  const auto weights = core::load_safetensors(step / "model.safetensors").tensors;
  const auto average = core::load_safetensors(step / "ema.safetensors").tensors;
  EXPECT_EQ(average.size(), weights.size());
  EXPECT_FALSE(average.at("decoder.head.0.weight").equal(weights.at("decoder.head.0.weight")));
  EXPECT_EQ(step_weights(step), step / "ema.safetensors");

  const auto score = [&] {
    auto predictor = load_predictor(step, c10::kCPU);
    report::Evaluation evaluation;
    evaluate_dataset(predictor, "val", data::Dataset(options_.data.val), 4, evaluation);
    return evaluation.dataset("val").summary().at("MAE");
  };
  const auto by_average = score();
  fs::remove(step / "ema.safetensors");
  const auto by_weights = score();
  EXPECT_NE(by_average, by_weights);
  std::ifstream log(folder_ / "run" / "metrics.jsonl");
  core::Json last;
  for (std::string line; std::getline(log, line);) last = core::Json::parse(line);
  EXPECT_NEAR(last["val"]["MAE"].get<double>(), by_average, 1e-6);
}

TEST_F(EmaRun, DoesNotChangeTheWeights) {
  const auto with = core::load_safetensors(train() / "model.safetensors").tensors;
  fs::remove_all(folder_ / "run");
  options_.engine.ema.decay = 0;
  const auto step = train();
  EXPECT_FALSE(fs::exists(step / "ema.safetensors"));
  EXPECT_TRUE(test::are_equal(with, core::load_safetensors(step / "model.safetensors").tensors));
}

TEST_F(EmaRun, ResumeNeedsTheAverageThatItKeeps) {
  const auto step = train();
  options_.engine.ema.decay = 0;
  EXPECT_THROW(Trainer(options_, folder_ / "run", c10::kCPU).resume(step), core::Error);
  options_.engine.ema.decay = 0.5;
  fs::remove(step / "ema.safetensors");
  EXPECT_THROW(Trainer(options_, folder_ / "run", c10::kCPU).resume(step), core::Error);
}

}  // namespace
}  // namespace codmoe::engine
