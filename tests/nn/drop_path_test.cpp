#include "codmoe/nn/drop_path.h"

#include <ATen/ATen.h>
#include <ATen/Context.h>
#include <gtest/gtest.h>

namespace codmoe::nn {
namespace {

DropPath make_drop_path(double rate) {
  DropPath drop_path;
  drop_path->set_rate(rate);
  return drop_path;
}

at::Tensor random_state() { return at::globalContext().defaultGenerator(c10::kCPU).get_state(); }

/// Of each sample: its branch divided by what went in, which must be one number.
at::Tensor factor_of_each_sample(const at::Tensor& branch, const at::Tensor& result) {
  const auto factors = (result / branch).flatten(1);
  EXPECT_TRUE(factors.amax(1).equal(factors.amin(1)));
  return factors.select(1, 0);
}

TEST(DropPath, LeavesOutWholeSamplesAndKeepsTheExpectation) {
  at::manual_seed(7);
  constexpr int64_t samples = 40'000;
  const auto branch = at::randint(1, 3, {samples, 2, 1, 3}).to(at::kFloat);  // 1 and 2 divide exactly
  const auto factors = factor_of_each_sample(branch, make_drop_path(0.2)(branch));
  const auto kept = factors > 0;
  EXPECT_TRUE(factors.masked_select(kept).allclose(at::tensor(1.25F)));
  // Five standard deviations of a mean of Bernoulli(0.8).
  EXPECT_NEAR(kept.to(at::kFloat).mean().item<double>(), 0.8, 5 * 0.4 / 200);
  EXPECT_NEAR(factors.mean().item<double>(), 1.0, 5 * 0.5 / 200);
}

TEST(DropPath, FollowsTheSeed) {
  const auto branch = at::ones({64, 3});
  const auto drop_path = make_drop_path(0.5);
  const auto of_seed = [&](uint64_t seed) {
    at::manual_seed(seed);
    return drop_path->forward(branch);
  };
  EXPECT_TRUE(of_seed(1).equal(of_seed(1)));
  EXPECT_FALSE(of_seed(1).equal(of_seed(2)));
}

TEST(DropPath, IsTheBranchItselfInEvaluationAndAtZero) {
  const auto branch = at::randn({4, 3});
  auto evaluating = make_drop_path(0.5);
  evaluating->eval();
  const auto before = random_state();
  EXPECT_TRUE(evaluating(branch).is_same(branch));
  EXPECT_TRUE(make_drop_path(0.0)(branch).is_same(branch));
  EXPECT_TRUE(random_state().equal(before));
}

TEST(DropPath, LeavesOutEverythingAtOne) {
  EXPECT_TRUE(make_drop_path(1.0)(at::randn({4, 3})).equal(at::zeros({4, 3})));
}

TEST(DropPath, GradientsPassWhereTheSampleDoes) {
  const auto branch = at::randn({32, 5}).requires_grad_();
  const auto y = make_drop_path(0.5)(branch);
  y.sum().backward();
  const auto kept = y.detach().ne(0).to(at::kFloat);
  EXPECT_GT(kept.sum().item<double>(), 0);
  EXPECT_TRUE(branch.grad().equal(kept * 2));
}

}  // namespace
}  // namespace codmoe::nn
