#include "codmoe/moe/telemetry.h"

#include <ATen/ATen.h>
#include <gtest/gtest.h>

#include <cmath>

namespace codmoe::moe {
namespace {

Routing routing_of(std::vector<double> probs, std::vector<int64_t> indices, int64_t batch) {
  return {.logits = at::Tensor(),
          .probs = at::tensor(probs, at::kFloat).view({batch, -1}).requires_grad_(),
          .indices = at::tensor(indices, at::kLong).view({batch, -1}),
          .weights = at::Tensor()};
}

void expect_near(const std::vector<double>& actual, const std::vector<double>& expected) {
  ASSERT_EQ(actual.size(), expected.size());
  for (std::size_t i = 0; i < actual.size(); ++i) EXPECT_NEAR(actual[i], expected[i], 1e-6) << i;
}

TEST(LoadMeter, AveragesOverImagesNotBatches) {
  LoadMeter meter;
  meter.add(routing_of({0.5, 0.5, 0.0}, {0, 1}, 1));
  meter.add(routing_of({0.5, 0.25, 0.25, 0.0, 0.5, 0.5}, {0, 2, 1, 2}, 2));
  const auto report = meter.take();
  expect_near(report.load, {2.0 / 6, 2.0 / 6, 2.0 / 6});
  expect_near(report.probability, {1.0 / 3, 1.25 / 3, 0.75 / 3});
  EXPECT_NEAR(report.entropy, (std::log(2.0) + 1.5 * std::log(2.0) + std::log(2.0)) / 3, 1e-6);
}

TEST(LoadMeter, ShowsDeadExperts) {
  LoadMeter meter;
  meter.add(routing_of({0.7, 0.2, 0.1, 0.6, 0.3, 0.1}, {0, 1, 0, 1}, 2));
  expect_near(meter.take().load, {0.5, 0.5, 0.0});
}

TEST(LoadMeter, StartsAnewAfterTake) {
  LoadMeter meter;
  meter.add(routing_of({1.0, 0.0}, {0}, 1));
  meter.take();
  EXPECT_TRUE(meter.take().load.empty());
  EXPECT_EQ(meter.take().entropy, 0.0);
  meter.add(routing_of({0.0, 1.0}, {1}, 1));
  const auto report = meter.take();
  expect_near(report.load, {0.0, 1.0});
  expect_near(report.probability, {0.0, 1.0});
}

TEST(LoadMeter, LeavesTheRoutingAsItIs) {
  LoadMeter meter;
  const auto routing = routing_of({0.75, 0.25}, {0}, 1);
  for (int i = 0; i < 3; ++i) meter.add(routing);
  EXPECT_TRUE(routing.probs.equal(at::tensor({0.75F, 0.25F}).view({1, 2})));
  expect_near(meter.take().probability, {0.75, 0.25});
}

}  // namespace
}  // namespace codmoe::moe
