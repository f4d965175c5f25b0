#include "codmoe/metrics/scores.h"

#include <ATen/ATen.h>
#include <gtest/gtest.h>

#include <cmath>
#include <set>

#include "codmoe/core/error.h"
#include "codmoe/metrics/registry.h"

namespace codmoe::metrics {
namespace {

at::Tensor bytes(std::initializer_list<int64_t> values, int64_t height, int64_t width) {
  return at::tensor(at::ArrayRef<int64_t>(values.begin(), values.size()), at::kLong)
      .to(at::kByte)
      .view({height, width});
}

TEST(Scores, PredictionsAreStretchedUnlessToldOtherwise) {
  const at::Tensor pred = bytes({10, 20, 60, 110}, 2, 2);
  const at::Tensor mask = bytes({0, 0, 255, 255}, 2, 2);
  EXPECT_DOUBLE_EQ(summarize(score_image(pred, mask)).at("MAE"), (0 + 0.1 + 0.5 + 0) / 4);
  EXPECT_DOUBLE_EQ(summarize(score_image(pred, mask)).at("IoU"), 0.5);  // 0.5 itself is not above 0.5
  const Summary raw = summarize(score_image(pred, mask, {.normalize = false}));
  EXPECT_NEAR(raw.at("MAE"), (10 + 20 + 195 + 145) / 255.0 / 4, 1e-15);
  EXPECT_EQ(raw.at("IoU"), 0);
  EXPECT_EQ(raw.curve("iou")[20], 2 / 3.0);
  EXPECT_EQ(raw.curve("iou")[111], 0);
}

TEST(Scores, TheMaskIsWhereItsLevelIsAbove128) {
  const Confusion binary = score_image(bytes({0, 255, 255}, 1, 3), bytes({128, 129, 128}, 1, 3)).binary;
  EXPECT_EQ(binary.tp, 1);
  EXPECT_EQ(binary.fp, 1);
  EXPECT_EQ(binary.tn, 1);
  EXPECT_EQ(binary.fn, 0);
}

TEST(Scores, PooledAndAveragedScoresDiffer) {
  ScoreAccumulator accumulator;
  accumulator.add(score_image(bytes({0, 255, 255, 255}, 1, 4), bytes({0, 255, 255, 255}, 1, 4)));  // IoU 3/3
  accumulator.add(score_image(bytes({0, 255, 0, 0}, 1, 4), bytes({0, 0, 255, 0}, 1, 4)));          // IoU 0/2
  EXPECT_EQ(accumulator.size(), 2);
  EXPECT_DOUBLE_EQ(accumulator.summary().at("IoU"), 0.5);
  EXPECT_DOUBLE_EQ(accumulator.summary().at("overall_biiou"), 3 / 5.0);
}

TEST(Scores, NothingScoredIsNotANumber) {
  const Summary summary = ScoreAccumulator().summary();
  EXPECT_EQ(summary.n, 0);
  for (const double value : summary.values) EXPECT_TRUE(std::isnan(value));
}

TEST(Scores, StridedTensorsAreRead) {
  const at::Tensor pred = bytes({0, 200, 255, 30, 90, 10}, 2, 3);
  const at::Tensor mask = bytes({0, 255, 255, 0, 255, 0}, 2, 3);
  const ScoreOptions all{.extended = true};
  const Summary plain = summarize(score_image(pred.t().contiguous(), mask.t().contiguous(), all));
  const Summary strided = summarize(score_image(pred.t(), mask.t(), all));
  for (const Column& column : columns()) {
    const double expected = plain.at(column.name);
    EXPECT_TRUE(strided.at(column.name) == expected || std::isnan(expected)) << column.name;
  }
}

TEST(Scores, ExtendedOnesAreUndefinedUnlessAskedFor) {
  const at::Tensor mask = bytes({0, 255, 255, 0, 255, 0}, 2, 3);
  const Summary plain = summarize(score_image(mask, mask));
  const Summary all = summarize(score_image(mask, mask, {.extended = true}));
  for (const Column& column : columns()) {
    EXPECT_EQ(std::isnan(plain.at(column.name)), column.extended) << column.name;
    EXPECT_FALSE(column.name != "si_mae" && std::isnan(all.at(column.name))) << column.name;
    EXPECT_TRUE(column.extended || plain.at(column.name) == all.at(column.name)) << column.name;
  }
}

TEST(Scores, WrongInputIsRefused) {
  const at::Tensor good = at::zeros({4, 5}, at::kByte);
  EXPECT_THROW(score_image(at::zeros({5, 4}, at::kByte), good), c10::Error);
  EXPECT_THROW(score_image(good.to(at::kFloat), good), c10::Error);
  EXPECT_THROW(score_image(good, good.to(at::kBool)), c10::Error);
  EXPECT_THROW(score_image(at::zeros({0, 5}, at::kByte), at::zeros({0, 5}, at::kByte)), c10::Error);
  EXPECT_THROW(score_image(at::zeros({1, 4, 5}, at::kByte), at::zeros({1, 4, 5}, at::kByte)), c10::Error);
  EXPECT_THROW(score_image(at::zeros({1, 40000}, at::kByte), at::zeros({1, 40000}, at::kByte)), c10::Error);
}

TEST(Registry, NamesAreUniqueAndUnknownOnesListed) {
  std::set<std::string> names;
  for (const Column& column : columns()) EXPECT_TRUE(names.insert(column.name).second) << column.name;
  const Summary summary = summarize(score_image(at::zeros({4, 5}, at::kByte), at::zeros({4, 5}, at::kByte)));
  ASSERT_EQ(summary.values.size(), columns().size());
  try {
    summary.at("iuo");
    FAIL();
  } catch (const core::Error& error) {
    EXPECT_NE(std::string(error.what()).find("IoU"), std::string::npos) << error.what();
  }
}

}  // namespace
}  // namespace codmoe::metrics
