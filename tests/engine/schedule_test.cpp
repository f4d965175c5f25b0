#include "codmoe/engine/schedule.h"

#include <ATen/ATen.h>
#include <gtest/gtest.h>

#include "codmoe/core/options_json.h"
#include "support/tensors.h"

namespace codmoe::engine {
namespace {

double factor(int64_t step, int64_t warmup, int64_t total, double final_lr) {
  return lr_factor({}, final_lr, step, warmup, total, /*steps_per_epoch=*/1);
}

TEST(Schedule, LastStepOfAnEpochMayHaveFewerBatches) {
  EXPECT_EQ(steps_per_epoch(6, 2), 3);
  EXPECT_EQ(steps_per_epoch(7, 2), 4);
  EXPECT_EQ(steps_per_epoch(1, 4), 1);
}

TEST(LrFactor, RisesLinearlyThenFallsByACosine) {
  // 10 warmup steps of 111: the cosine runs over steps 10 ... 110.
  EXPECT_DOUBLE_EQ(factor(0, 10, 111, 0.0), 0.1);
  EXPECT_DOUBLE_EQ(factor(9, 10, 111, 0.0), 1.0);
  EXPECT_DOUBLE_EQ(factor(10, 10, 111, 0.0), 1.0);
  EXPECT_NEAR(factor(60, 10, 111, 0.0), 0.5, 1e-12);
  EXPECT_NEAR(factor(110, 10, 111, 0.0), 0.0, 1e-12);
}

TEST(LrFactor, EndsAtTheFinalShareOfTheRate) {
  EXPECT_NEAR(factor(99, 0, 100, 0.25), 0.25, 1e-12);
  EXPECT_DOUBLE_EQ(factor(0, 0, 1, 0.25), 1.0);
}

/// Of make_training_vectors.py: 60 steps, 6 an epoch.
TEST(LrFactor, AgreesWithPyTorch) {
  const auto file = core::load_safetensors(CODMOE_SOURCE_DIR "/tests/engine/data/schedules.safetensors").tensors;
  const std::tuple<const char*, CurveOptions, double> cases[] = {
      {"cosine", {}, 0.05},
      {"poly", {.name = CurveName::poly}, 0.0},
      {"step", {.name = CurveName::step, .milestones = {3, 7}, .gamma = 0.2}, 0.0},
      {"one_cycle", {.name = CurveName::one_cycle, .rise = 0.25, .start_lr = 1.0 / 20}, 1.0 / 20 / 500},
      {"restarts", {.name = CurveName::restarts, .first_epochs = 2, .growth = 2}, 0.1}};
  EXPECT_EQ(file.size(), std::size(cases));
  for (const auto& [name, curve, final_lr] : cases) {
    std::vector<double> factors;
    for (int64_t step = 0; step < 60; ++step) factors.push_back(lr_factor(curve, final_lr, step, 0, 60, 6));
    EXPECT_TRUE(test::is_near(at::tensor(factors, at::kDouble), file.at(name), 1e-12)) << name;
  }
}

TEST(LrFactor, CurvesBeginBehindTheWarmupButMilestonesDoNot) {
  const CurveOptions restarts{.name = CurveName::restarts, .first_epochs = 2},
      step{.name = CurveName::step, .milestones = {1}};
  EXPECT_DOUBLE_EQ(lr_factor(restarts, 0.0, 2, 4, 40, 4), 0.75);
  EXPECT_DOUBLE_EQ(lr_factor(restarts, 0.0, 4, 4, 40, 4), 1.0);
  EXPECT_DOUBLE_EQ(lr_factor(restarts, 0.0, 12, 4, 40, 4), 1.0);
  EXPECT_DOUBLE_EQ(lr_factor(step, 0.0, 3, 2, 40, 4), 1.0);
  EXPECT_DOUBLE_EQ(lr_factor(step, 0.0, 4, 2, 40, 4), 0.1);
}

TEST(LrFactor, IsFiniteInShortRuns) {
  for (const auto& [name, value] : enum_names(CurveName{})) {
    for (int64_t total = 1; total < 6; ++total) {
      for (int64_t step = 0; step < total; ++step) {
        const double found = lr_factor({.name = value, .milestones = {1}}, 0.01, step, 0, total, 1);
        EXPECT_GE(found, 0.0) << name;
        EXPECT_LE(found, 1.0) << name;
      }
    }
  }
}

TEST(Schedule, PartsFollowCurvesOfTheirOwn) {
  ScheduleOptions options{.epochs = 10, .warmup_epochs = 0, .final_lr = 0};
  options.parts["backbone"] = {.name = CurveName::step, .milestones = {5}};
  const auto values = Schedule(options, 4).at(20);
  EXPECT_EQ(values.epoch, 5);
  EXPECT_DOUBLE_EQ(values.progress, 0.5);
  EXPECT_NEAR(values.lr[0], 0.5 * (1 + std::cos(M_PI * 20 / 39)), 1e-12);
  EXPECT_DOUBLE_EQ(values.lr[1], 0.1);
  options.parts.clear();
  EXPECT_EQ(Schedule(options, 4).at(20).lr[1], values.lr[0]);
}

TEST(ScheduleOptions, WarmupMustEndBeforeTheRun) {
  EXPECT_THROW((ScheduleOptions{.epochs = 3, .warmup_epochs = 3.0}.check()), core::BadOption);
}

std::string schedule_refusal(const core::Json& tree) {
  ScheduleOptions options;
  try {
    core::read_options(tree, {}, options);
  } catch (const core::UsageError& error) {
    return error.what();
  }
  return "";
}

TEST(ScheduleOptions, RefusesWhatMeansNothing) {
  EXPECT_EQ(schedule_refusal({{"name", "step"}}), "milestones must name at least one epoch for the schedule step");
  EXPECT_EQ(schedule_refusal({{"milestones", {3, 3}}}), "milestones must rise; they are 3, 3");
  EXPECT_EQ(schedule_refusal({{"parts", {{"decoder", {{"name", "poly"}}}}}}),
            "parts may name backbone alone, not 'decoder'");
  EXPECT_EQ(schedule_refusal({{"parts", {{"backbone", {{"name", "step"}}}}}}),
            "parts.backbone.milestones must name at least one epoch for the schedule step");
  EXPECT_EQ(schedule_refusal({{"name", "line"}}),
            "name must be one of cosine, poly, step, one_cycle, restarts; it is the text 'line'");
}

}  // namespace
}  // namespace codmoe::engine
