#include "benchmarks/compare.h"

#include <gtest/gtest.h>

namespace codmoe::bench {
namespace {

Record make_record(double median_ms, double p95_ms, int64_t batch = 1) {
  Record record;
  record.case_name = "layer";
  record.device = "some GPU";
  record.dtype = "float32";
  record.dispatch = "batched";
  record.pass = "forward";
  record.batch = batch;
  record.runs = 100;
  record.median_ms = median_ms;
  record.p95_ms = p95_ms;
  record.min_ms = median_ms - (p95_ms - median_ms) * 2.5 / 1.645;  // as far away as for normal samples
  return record;
}

Change compare_one(const Record& before, const Record& after) {
  const auto changes = compare({before}, {after});
  EXPECT_EQ(changes.size(), 1U);
  return changes.at(0);
}

TEST(Compare, FlagsAPlantedRegression) {
  const auto change = compare_one(make_record(2.0, 2.1), make_record(2.6, 2.7));
  EXPECT_DOUBLE_EQ(change.latency_ratio, 1.3);
  EXPECT_TRUE(change.slower);
  EXPECT_NE(format_changes({change}).find("SLOWER"), std::string::npos);
}

TEST(Compare, LetsDriftPass) {
  const auto change = compare_one(make_record(2.0, 2.1), make_record(2.06, 2.16));
  EXPECT_FALSE(change.slower);
  EXPECT_FALSE(change.faster);
}

TEST(Compare, LetsNoisePass) {
  // sigma = 0.658 / 1.645 = 0.4 of a median of 2: the median is known to 2.5 %, a ratio of two such to 3.5 %.
  const auto noisy = make_record(2.0, 2.658);
  EXPECT_NEAR(median_error(noisy), 0.025, 1e-3);
  EXPECT_FALSE(compare_one(noisy, make_record(2.2, 2.858)).slower);
  EXPECT_TRUE(compare_one(noisy, make_record(2.3, 2.958)).slower);
}

TEST(Compare, AFewInterruptedRunsHideNothing) {
  auto before = make_record(2.0, 2.1), after = make_record(2.6, 2.7);
  before.p95_ms = after.p95_ms = 40.0;
  EXPECT_TRUE(compare_one(before, after).slower);
}

TEST(Compare, SeesAnImprovement) {
  const auto change = compare_one(make_record(2.0, 2.1), make_record(1.0, 1.1));
  EXPECT_TRUE(change.faster);
  EXPECT_FALSE(change.slower);
}

TEST(Compare, FlagsARegressionOfTheGpuTimeAlone) {
  auto before = make_record(2.0, 2.1), after = before;
  before.gpu_ms = 1.0;
  after.gpu_ms = 1.5;
  const auto change = compare_one(before, after);
  EXPECT_TRUE(change.slower);
  EXPECT_DOUBLE_EQ(change.gpu_ratio.value(), 1.5);
}

TEST(Compare, PairsEqualCasesOnly) {
  auto other_device = make_record(1, 1, 4);
  other_device.device = "another GPU";
  const auto changes = compare({make_record(1, 1, 1), make_record(1, 1, 4)}, {make_record(2, 2, 1), other_device});
  ASSERT_EQ(changes.size(), 1U);
  EXPECT_EQ(changes[0].after.batch, 1);
}

TEST(Compare, PairsWarmWithWarmAndColdWithCold) {
  auto cold = make_record(2, 2.1);
  cold.inputs = "cold";
  const auto warm = make_record(1, 1.1);
  EXPECT_TRUE(compare({warm}, {cold}).empty());
  const auto changes = compare({cold, warm}, {warm, cold});
  ASSERT_EQ(changes.size(), 2U);
  for (const auto& change : changes) EXPECT_EQ(change.latency_ratio, 1.0) << change.after.inputs;
  EXPECT_NE(format_changes(changes).find("batched, cold"), std::string::npos);
}

}  // namespace
}  // namespace codmoe::bench
