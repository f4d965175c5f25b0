// The layer in float32 and under bfloat16 autocast, on the CPU, against float64; dispatch_gpu_test.cpp does the same on
// a GPU.
#include <gtest/gtest.h>

#include "moe/layer_run.h"

namespace codmoe::moe {
namespace {

class Precision : public testing::TestWithParam<StrategyAndRouting> {};

TEST_P(Precision, Float32IsNearFloat64) {
  expect_near_float64(c10::kCPU, GetParam(), /*autocast=*/false,
                      {.output = 3e-6, .gradient = 3e-5, .statistics = 3e-6});
}

TEST_P(Precision, AutocastIsNearFloat64) {
  expect_near_float64(c10::kCPU, GetParam(), /*autocast=*/true, {.output = 0.05, .gradient = 0.2, .statistics = 0.02});
}

INSTANTIATE_TEST_SUITE_P(All, Precision, kStrategiesAndRoutings, case_name);

}  // namespace
}  // namespace codmoe::moe
