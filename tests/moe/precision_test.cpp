// The layer in float32 and under bfloat16 autocast, on the CPU, against float64; dispatch_gpu_test.cpp does the same on
// a GPU.
#include <fmt/format.h>
#include <gtest/gtest.h>

#include "moe/layer_run.h"

namespace codmoe::moe {
namespace {

class Precision : public testing::TestWithParam<StrategyAndRouting> {
 protected:
  static void compare(bool autocast, const Deviations& limits) {
    for (const auto norm : kNorms) {
      for (const bool training : {false, true}) {
        const auto& [strategy, routing] = GetParam();
        SCOPED_TRACE(fmt::format("{} {}", core::name_of(norm), training ? "training" : "evaluation"));
        const auto found = compare_with_float64(c10::kCPU, strategy, norm, training, autocast, routing);
        EXPECT_TRUE(found.same_routes);  // the router is float32 under autocast too
        EXPECT_LE(found.output, limits.output);
        EXPECT_LE(found.gradient, limits.gradient);
        EXPECT_LE(found.statistics, limits.statistics);
      }
    }
  }
};

TEST_P(Precision, Float32IsNearFloat64) {
  compare(/*autocast=*/false, {.output = 3e-6, .gradient = 3e-5, .statistics = 3e-6});
}

TEST_P(Precision, AutocastIsNearFloat64) {
  compare(/*autocast=*/true, {.output = 0.05, .gradient = 0.2, .statistics = 0.02});
}

INSTANTIATE_TEST_SUITE_P(All, Precision, kStrategiesAndRoutings, case_name);

}  // namespace
}  // namespace codmoe::moe
