#include "codmoe/engine/validator.h"

#include <gtest/gtest.h>

#include "small_run.h"
#include "support/cuda.h"
#include "support/temporary_folder.h"
#include "validation_set.h"

namespace codmoe::engine {
namespace {

TEST(ValidatorGpu, NetworkScoresAreThoseOfScoreImageOnTheCpu) {
  if (!test::has_cuda()) GTEST_SKIP() << "no GPU";
  const test::TemporaryFolder folder;
  auto options = testing::small_options("unused");
  options.data.val.dir = testing::validation_set(folder / "val");
  options.data.loader.batch_size = 2;
  options.engine.val_resolution = ValResolution::network;
  const c10::Device device(c10::kCUDA, 0);
  const Validator validator(options, device);
  at::manual_seed(4);
  model::Detector model(options.model);
  model->to(device);
  Predictor predictor(model, device, 64, options.engine);
  const auto found = validator.scores(predictor);
  const auto expected = testing::plain_scores(predictor, folder / "val", 64, 2);
  for (const auto& [name, value] : found) EXPECT_NEAR(value, expected.at(name), 1e-4) << name;
}

}  // namespace
}  // namespace codmoe::engine
