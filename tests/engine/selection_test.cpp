#include "codmoe/engine/selection.h"

#include <gtest/gtest.h>

#include <algorithm>
#include <limits>

#include "codmoe/metrics/registry.h"

namespace codmoe::engine {
namespace {

metrics::Summary summary_of(const std::string& name, double value) {
  metrics::Summary summary{.n = 1, .values = std::vector<double>(metrics::columns().size(), 0.5), .curves = {}};
  const auto column = std::ranges::find(metrics::columns(), name, &metrics::Column::name);
  summary.values[static_cast<std::size_t>(column - metrics::columns().begin())] = value;
  return summary;
}

/// Which of `values` were the best so far.
std::vector<bool> bests(const std::string& metric, const std::vector<double>& values, Progress& progress) {
  EngineOptions options;
  options.best = metric;
  std::vector<bool> found;
  for (const double value : values) {
    ++progress.step;
    found.push_back(note_validation(progress, summary_of(metric, value), options));
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
  options.best = "maxFm";
  EXPECT_NO_THROW(options.check());
}

}  // namespace
}  // namespace codmoe::engine
