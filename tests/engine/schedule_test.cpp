#include "codmoe/engine/schedule.h"

#include <gtest/gtest.h>

namespace codmoe::engine {
namespace {

TEST(LrFactor, RisesLinearlyThenFallsByACosine) {
  // 10 warmup steps of 111: the cosine runs over steps 10 ... 110.
  EXPECT_DOUBLE_EQ(lr_factor(0, 10, 111, 0.0), 0.1);
  EXPECT_DOUBLE_EQ(lr_factor(9, 10, 111, 0.0), 1.0);
  EXPECT_DOUBLE_EQ(lr_factor(10, 10, 111, 0.0), 1.0);
  EXPECT_NEAR(lr_factor(60, 10, 111, 0.0), 0.5, 1e-12);
  EXPECT_NEAR(lr_factor(110, 10, 111, 0.0), 0.0, 1e-12);
}

TEST(LrFactor, EndsAtTheFinalShareOfTheRate) {
  EXPECT_NEAR(lr_factor(99, 0, 100, 0.25), 0.25, 1e-12);
  EXPECT_DOUBLE_EQ(lr_factor(0, 0, 1, 0.25), 1.0);
}

TEST(ScheduleOptions, WarmupMustEndBeforeTheRun) {
  EXPECT_THROW((ScheduleOptions{.epochs = 3, .warmup_epochs = 3.0}.check()), core::BadOption);
}

}  // namespace
}  // namespace codmoe::engine
