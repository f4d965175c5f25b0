#include "codmoe/engine/validator.h"

#include <fmt/format.h>
#include <gtest/gtest.h>

#include <cmath>
#include <fstream>

#include "codmoe/core/error.h"
#include "codmoe/core/files.h"
#include "codmoe/data/image_file.h"
#include "codmoe/engine/trainer.h"
#include "small_run.h"
#include "support/temporary_folder.h"
#include "validation_set.h"

namespace codmoe::engine {
namespace {

namespace fs = std::filesystem;

constexpr int64_t kSize = 64, kBatch = 2;

class ValidatorTest : public ::testing::Test {
 protected:
  void SetUp() override {
    options_ = testing::small_options("unused");
    options_.data.val.dir = testing::validation_set(folder_ / "val");
    options_.data.loader.batch_size = kBatch;
    options_.data.loader.scales = {0.5, 1.0};  // of training alone
    options_.engine.val_resolution = ValResolution::network;
    options_.engine.log_images = 3;
  }
  Predictor make_predictor() const {
    at::manual_seed(4);
    return {model::Detector(options_.model), c10::kCPU, kSize, options_.engine};
  }
  Scores scores() const {
    auto predictor = make_predictor();
    return Validator(options_, c10::kCPU).scores(predictor);
  }

  test::TemporaryFolder folder_;
  TrainOptions options_;
};

TEST_F(ValidatorTest, NetworkScoresAreThoseOfScoreImageAtItsSize) {
  const auto found = scores();
  auto predictor = make_predictor();
  const auto expected = testing::plain_scores(predictor, folder_ / "val", kSize, kBatch);
  EXPECT_EQ(found.size(), 10U);
  for (const auto& [name, value] : found) EXPECT_NEAR(value, expected.at(name), 1e-6) << name;
  options_.engine.val_resolution = ValResolution::original;
  EXPECT_GT(std::abs(scores().at("MAE") - found.at("MAE")), 1e-4) << "both resolutions give the same";
}

// metrics::BatchScores need not know every score that a table shows.
TEST_F(ValidatorTest, ScoresThatWereNotComputedAreNotLogged) {
  const Scores some{{"MAE", 0.25}, {"IoU", 0.5}, {"maxdice", 0.75}, {"maxiou", 1.0}};
  const core::Json expected{{"MAE", 0.25}, {"IoU", 0.5}, {"maxdice", 0.75}};
  EXPECT_EQ(logged_scores(some, {.best = "maxdice"}), expected);
}

TEST_F(ValidatorTest, OriginalScoresAreThoseOfAnEvaluation) {
  options_.engine.val_resolution = ValResolution::original;
  auto predictor = make_predictor();
  report::Evaluation evaluation;
  evaluate_dataset(predictor, "val", data::Dataset(options_.data.val), kBatch, evaluation);
  const auto found = scores();
  for (const auto* name : {"MAE", "Smeasure", "maxdice", "overall_bikappa"}) {
    EXPECT_EQ(found.at(name), evaluation.dataset("val").summary().at(name)) << name;
  }
}

TEST_F(ValidatorTest, SecondValidationTouchesNoFiles) {
  auto predictor = make_predictor();
  Validator validator(options_, c10::kCPU);
  const auto scores = validator.scores(predictor);
  const auto pictures = validator.pictures(predictor);
  fs::remove_all(folder_ / "val");
  EXPECT_EQ(validator.scores(predictor), scores);
  const auto again = validator.pictures(predictor);
  ASSERT_EQ(again.size(), 3U);
  for (std::size_t i = 0; i < again.size(); ++i) EXPECT_EQ(again[i].png, pictures[i].png) << i;
  EXPECT_THROW(Validator(options_, c10::kCPU), core::Error);
}

TEST_F(ValidatorTest, PicturesShowPhotographMaskAndMap) {
  auto predictor = make_predictor();
  for (const auto resolution : {ValResolution::original, ValResolution::network}) {
    options_.engine.val_resolution = resolution;
    const auto shown = Validator(options_, c10::kCPU).pictures(predictor).at(1);  // samples 0, 1, 3
    EXPECT_EQ(shown.tag, "predictions/1");
    EXPECT_EQ(shown.height, 160);
    EXPECT_EQ(shown.width, 3 * 228);
    std::ofstream(folder_ / "shown.png", std::ios::binary) << shown.png;
    const auto parts = data::read_image(folder_ / "shown.png").split(228, 1);
    const auto small = [&](const at::Tensor& image) {
      return data::resize(image, 160, 228, data::Interpolation::area);
    };
    EXPECT_TRUE(parts[0].equal(small(data::read_image(folder_ / "val/Imgs/1.png"))));
    EXPECT_TRUE(parts[1].select(2, 0).equal(small(data::read_mask(folder_ / "val/GT/1.png"))));
    const auto map =
        predictor.predict({predictor.prepare(data::read_image(folder_ / "val/Imgs/1.png"))}).maps().front();
    const auto difference = (parts[2].select(2, 0).to(at::kInt) - small(map).to(at::kInt)).abs();
    EXPECT_LE(difference.max().item<int64_t>(), 3);
  }
}

TEST_F(ValidatorTest, KeptSamplesAreCountedInBytes) {
  EXPECT_EQ(Validator(options_, c10::kCPU).kept_bytes(), 5 * 4 * kSize * kSize);  // photographs and masks
  options_.engine.val_resolution = ValResolution::original;
  EXPECT_EQ(Validator(options_, c10::kCPU).kept_bytes(), 0);
}

TEST_F(ValidatorTest, SetThatMemoryDoesNotHoldIsRefused) {
  options_.data.loader.size = int64_t{1} << 24;
  try {
    Validator(options_, c10::kCPU);
    ADD_FAILURE() << "nothing was thrown";
  } catch (const core::Error& error) {
    EXPECT_NE(std::string(error.what()).find("engine.val_resolution: original keeps none"), std::string::npos)
        << error.what();
  }
}

/// The log's lines of validations.
std::vector<core::Json> validations_of(const fs::path& run) {
  std::ifstream log(run / "metrics.jsonl");
  std::vector<core::Json> lines;
  for (std::string line; std::getline(log, line);) {
    auto entry = core::Json::parse(line);
    if (entry.contains("val")) lines.push_back(std::move(entry));
  }
  return lines;
}

TEST_F(ValidatorTest, RunChoosesItsBestByTheNetworksScores) {
  options_.data.train.dir = testing::small_dataset(folder_);
  options_.schedule = {.epochs = 4, .warmup_epochs = 0.5};
  options_.optimizer.lr = 0.02;
  options_.engine.best = "adpEm";  // the second is the best by far, the last in IoU
  options_.engine.keep_last = 10;
  options_.engine.log_images = 0;
  {
    Trainer trainer(options_, folder_ / "run", c10::kCPU);
    fs::rename(folder_ / "val", folder_ / "moved");
    trainer.run();
  }
  double best = -1;
  fs::path best_step;
  const auto lines = validations_of(folder_ / "run");
  ASSERT_EQ(lines.size(), 4U);
  for (const auto& line : lines) {
    EXPECT_EQ(line["val_resolution"], "network");
    const auto name = fmt::format("step-{}", line["step"].get<int64_t>());
    auto predictor = load_predictor(folder_ / "run/checkpoints" / name, c10::kCPU);
    const auto expected = testing::plain_scores(predictor, folder_ / "moved", kSize, kBatch);
    for (const auto& [score, value] : line["val"].items()) EXPECT_NEAR(value, expected.at(score), 1e-4) << score;
    if (expected.at("adpEm") <= best) continue;
    best = expected.at("adpEm");
    best_step = name;
  }
  EXPECT_EQ(fs::read_symlink(folder_ / "run/checkpoints/best").filename(), best_step);
}

TEST_F(ValidatorTest, ResumedRunEndsWithTheSameBitsAndScores) {
  options_.data.train.dir = testing::small_dataset(folder_);
  options_.engine.keep_last = 10;
  const auto run = folder_ / "run", resumed = folder_ / "resumed";
  Trainer(options_, run, c10::kCPU).run();
  fs::copy(run, resumed, fs::copy_options::recursive | fs::copy_options::copy_symlinks);
  Trainer trainer(options_, resumed, c10::kCPU, resumed / "checkpoints/step-2");
  EXPECT_EQ(trainer.progress().epoch, 1);
  trainer.run();
  for (const auto* name : {"model.safetensors", "optimizer.safetensors", "state.json"}) {
    const auto file = fs::path("checkpoints/step-6") / name;
    EXPECT_TRUE(core::read_file(resumed / file) == core::read_file(run / file)) << name;
  }
  EXPECT_EQ(validations_of(resumed).size(), 3U);
  EXPECT_EQ(validations_of(resumed), validations_of(run));
}

TEST_F(ValidatorTest, AnotherResolutionOfAResumedRunBeginsItsBestAnew) {
  options_.data.train.dir = testing::small_dataset(folder_);
  options_.data.loader.scales = {1.0};
  options_.schedule = {.epochs = 1, .warmup_epochs = 0.5};
  Trainer(options_, folder_ / "run", c10::kCPU).run();
  options_.engine.val_resolution = ValResolution::original;
  options_.schedule.epochs = 2;
  Trainer trainer(options_, folder_ / "run", c10::kCPU, find_checkpoint(folder_ / "run", /*prefer_best=*/false));
  EXPECT_EQ(trainer.progress().best_metric, "IoU at network resolution");
  trainer.run();
  EXPECT_EQ(trainer.progress().best_metric, "IoU");
  EXPECT_EQ(trainer.progress().best_step, trainer.progress().step);
}

}  // namespace
}  // namespace codmoe::engine
