#include "codmoe/engine/selection.h"

#include <gtest/gtest.h>

#include <limits>

namespace codmoe::engine {
namespace {

/// Which of `values` were the best so far.
std::vector<bool> bests(const std::string& metric, const std::vector<double>& values, Progress& progress) {
  EngineOptions options;
  options.best = metric;
  std::vector<bool> found;
  for (const double value : values) {
    ++progress.step;
    found.push_back(note_validation(progress, {{"adpEm", 0.5}, {metric, value}}, options));
  }
  return found;
}

TEST(Selection, HigherIouIsBetterAndEqualIsNot) {
  Progress progress;
  EXPECT_EQ(bests("IoU", {0.0, 0.3, 0.3, 0.2, 0.4}, progress), (std::vector{true, true, false, false, true}));
  EXPECT_EQ(progress.best_step, 5);
  EXPECT_EQ(progress.best_score, 0.4);
  EXPECT_EQ(progress.best_metric, "IoU");
}

TEST(Selection, LowerErrorIsBetter) {
  Progress progress;
  EXPECT_EQ(bests("MAE", {0.3, 0.4, 0.1}, progress), (std::vector{true, false, true}));
}

TEST(Selection, UndefinedIsNeverBest) {
  constexpr auto nan = std::numeric_limits<double>::quiet_NaN();
  Progress progress;
  EXPECT_EQ(bests("IoU", {nan, 0.1, nan}, progress), (std::vector{false, true, false}));
}

TEST(Selection, AnotherMetricBeginsAnew) {
  Progress progress;
  bests("IoU", {0.9}, progress);
  EXPECT_EQ(bests("Smeasure", {0.2}, progress), std::vector{true});
  EXPECT_EQ(progress.best_step, 2);
}

TEST(Selection, AnotherResolutionBeginsAnew) {
  Progress progress;
  bests("IoU", {0.9}, progress);
  const EngineOptions network{.val_resolution = ValResolution::network};
  progress.step = 2;
  EXPECT_TRUE(note_validation(progress, {{"IoU", 0.2}}, network));
  EXPECT_EQ(progress.best_metric, "IoU at network resolution");
  EXPECT_FALSE(note_validation(progress, {{"IoU", 0.1}}, network));
  EXPECT_EQ(progress.best_step, 2);
}

TEST(Selection, PatienceCountsValidationsBehindTheBest) {
  EngineOptions options;
  options.patience = 2;
  Progress progress;
  bests("IoU", {0.5, 0.4}, progress);
  EXPECT_FALSE(out_of_patience(progress, options));
  bests("IoU", {0.5}, progress);
  EXPECT_TRUE(out_of_patience(progress, options));
  options.patience = 0;
  EXPECT_FALSE(out_of_patience(progress, options));
}

TEST(Selection, ScoreThatValidationsLackIsRefused) {
  EngineOptions options;
  for (const auto* name : {"iou", "", "hce"}) {  // the last is computed on request alone
    options.best = name;
    EXPECT_THROW(options.check(), core::BadOption) << name;
  }
  for (const auto* name : {"maxFm", "maxdice"}) {
    options.best = name;
    EXPECT_NO_THROW(options.check());
  }
  options.val_resolution = ValResolution::network;
  try {
    options.check();
    ADD_FAILURE() << "nothing was thrown";
  } catch (const core::BadOption& error) {
    EXPECT_NE(std::string(error.what())
                  .find("'maxdice' is no score of a validation with val_resolution: network; "
                        "allowed are Smeasure, wFmeasure, MAE, IoU, adpEm, adpFm, meanEm, "),
              std::string::npos)
        << error.what();
  }
  options.best = "maxFm";
  EXPECT_NO_THROW(options.check());
}

}  // namespace
}  // namespace codmoe::engine
