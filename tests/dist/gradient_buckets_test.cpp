#include "codmoe/dist/gradient_buckets.h"

#include <ATen/ATen.h>
#include <gtest/gtest.h>

#include "support/ranks.h"

namespace codmoe::dist {
namespace {

constexpr int64_t kRanks = 3;

std::vector<at::Tensor> parameters() {
  std::vector<at::Tensor> made;
  for (const int64_t size : {3, 5, 2, 7}) made.push_back(at::ones({size, 2}, at::kDouble).requires_grad_());
  return made;
}

/// The gradient of parameter i is (rank + 1) * (i + 1) everywhere, but rank 1 leaves out the parameter `unused`.
at::Tensor loss_of(const std::vector<at::Tensor>& parameters, int64_t rank, std::size_t unused) {
  auto loss = at::zeros({}, at::kDouble);
  for (std::size_t i = 0; i < parameters.size(); ++i) {
    if (rank == 1 && i == unused) continue;
    loss = loss + parameters[i].sum() * static_cast<double>((rank + 1) * static_cast<int64_t>(i + 1));
  }
  return loss;
}

double expected(std::size_t i, std::size_t unused) {
  return static_cast<double>(i + 1) * (i == unused ? 1 + 3 : 1 + 2 + 3);
}

class Buckets : public testing::TestWithParam<int64_t> {};
INSTANTIATE_TEST_SUITE_P(Bytes, Buckets, testing::Values(1, 100, 1 << 20));

TEST_P(Buckets, HoldTheSumOverRanksWhereARankLeavesAParameterOut) {
  for (const std::size_t unused : {0, 2, 3}) {
    test::run_ranks(kRanks, [&](Group& group) {
      const auto own = parameters();
      GradientBuckets buckets(group, own, GetParam());
      for (int step = 0; step < 3; ++step) {
        for (const auto& parameter : own) parameter.mutable_grad() = at::Tensor();
        buckets.start();
        loss_of(own, group.rank(), unused).backward();
        buckets.finish();
        for (std::size_t i = 0; i < own.size(); ++i) {
          EXPECT_TRUE(at::equal(own[i].grad(), at::full_like(own[i], expected(i, unused)))) << step << " " << i;
        }
      }
    });
  }
}

TEST_P(Buckets, SumOnceWhereSeveralBackwardPassesMakeAStep) {
  test::run_ranks(kRanks, [&](Group& group) {
    const auto own = parameters();
    GradientBuckets buckets(group, own, GetParam());
    loss_of(own, group.rank(), own.size()).backward();
    buckets.start();
    loss_of(own, group.rank(), own.size()).backward();
    buckets.finish();
    for (std::size_t i = 0; i < own.size(); ++i) {
      EXPECT_TRUE(at::equal(own[i].grad(), at::full_like(own[i], 2 * expected(i, own.size()))));
    }
  });
}

TEST(GradientBuckets, KeepTheMemoryOrderOfTheirParameters) {
  test::run_ranks(2, [&](Group& group) {
    const auto weight = at::randn({4, 3, 2, 2}).contiguous(at::MemoryFormat::ChannelsLast).requires_grad_();
    GradientBuckets buckets(group, {weight});
    buckets.start();
    (weight * weight).sum().backward();
    buckets.finish();
    EXPECT_EQ(weight.grad().strides(), weight.strides());
  });
}

TEST(GradientBuckets, LeaveNoHookBehind) {
  test::run_ranks(1, [&](Group& group) {
    const auto own = parameters();
    { const GradientBuckets buckets(group, own); }
    loss_of(own, 0, own.size()).backward();
    EXPECT_TRUE(at::equal(own[1].grad(), at::full_like(own[1], 2)));
  });
}

}  // namespace
}  // namespace codmoe::dist
