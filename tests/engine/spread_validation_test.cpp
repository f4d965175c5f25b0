// Validations by ranks that share out the experts, beside those of one that has all.
#include <gtest/gtest.h>

#include <cmath>
#include <mutex>

#include "codmoe/engine/validator.h"
#include "small_run.h"
#include "support/ranks.h"
#include "support/temporary_folder.h"
#include "validation_set.h"

namespace codmoe::engine {
namespace {

constexpr int64_t kShown = 3, kNetworkSize = 64;
// Maps are of whole 255ths, which hang on the last bits of float32.
constexpr double kScoreTolerance = 2e-3;

struct Validated {
  Scores scores, again;
  std::size_t pictures = 0;
};

/// Pictures in between: the collectives of a second validation must still meet.
Validated validate(const TrainOptions& options, dist::Group* group) {
  static std::mutex mutex;  // LibTorch's generator belongs to all threads
  auto model = [&] {
    const std::scoped_lock lock(mutex);
    at::manual_seed(4);
    return model::Detector(options.model);
  }();
  if (group != nullptr) {
    for (auto& layer : model->moe_layers()) layer->spread(*group);
  }
  Predictor predictor(model, c10::kCPU, kNetworkSize, options.engine);
  Validator validator(options, c10::kCPU, group == nullptr ? Ranks() : Ranks(*group));
  Validated validated;
  validated.scores = validator.scores(predictor);
  validated.pictures = validator.pictures(predictor).size();
  validated.again = validator.scores(predictor);
  return validated;
}

void expect_scores(const Scores& actual, const Scores& expected) {
  for (const auto& [name, score] : expected) {
    const auto found = actual.at(name);
    EXPECT_EQ(std::isnan(found), std::isnan(score)) << name;
    EXPECT_TRUE(std::isnan(score) || std::abs(found - score) < kScoreTolerance) << name << " " << found << " " << score;
  }
}

class SpreadValidation : public ::testing::TestWithParam<ValResolution> {};
INSTANTIATE_TEST_SUITE_P(At, SpreadValidation, ::testing::Values(ValResolution::original, ValResolution::network),
                         [](const auto& which) { return std::string(core::name_of(which.param)); });

/// Five images in three batches: one of two ranks has nothing in the last round, one of four nothing at all.
TEST_P(SpreadValidation, ScoresAsOneRankDoes) {
  const test::TemporaryFolder folder;
  auto options = testing::small_options("unused");
  options.data.val.dir = testing::validation_set(folder / "val");
  options.data.loader.batch_size = 2;
  options.engine.val_resolution = GetParam();
  options.engine.log_images = kShown;
  const auto expected = validate(options, nullptr);
  for (const int64_t ranks : {2, 4}) {
    test::run_ranks(ranks, [&](dist::Group& group) {
      const auto actual = validate(options, &group);
      EXPECT_EQ(actual.pictures, group.leads() ? kShown : 0);
      expect_scores(actual.scores, expected.scores);
      expect_scores(actual.again, expected.scores);
    });
  }
}

}  // namespace
}  // namespace codmoe::engine
