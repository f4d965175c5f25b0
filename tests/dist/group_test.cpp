#include "codmoe/dist/group.h"

#include <ATen/ATen.h>
#include <gtest/gtest.h>

#include "codmoe/dist/all_sum.h"
#include "codmoe/dist/shared_statistics.h"
#include "support/ranks.h"

namespace codmoe::dist {
namespace {

using test::run_ranks;

at::Tensor numbers(int64_t rank) { return at::arange(6, at::kDouble).view({2, 3}) * static_cast<double>(rank + 1); }

TEST(Group, SumsOverTheRanksInPlace) {
  run_ranks(4, [](Group& group) {
    const auto now = numbers(group.rank()), later = numbers(group.rank());
    group.sum(now);
    const auto wait = group.start_sum(later);
    wait();
    EXPECT_TRUE(at::equal(now, numbers(0) * 10)) << group.rank();  // 1 + 2 + 3 + 4
    EXPECT_TRUE(at::equal(later, now)) << group.rank();
  });
}

TEST(Group, BroadcastsAndGathers) {
  run_ranks(3, [](Group& group) {
    const auto sent = numbers(group.rank());
    group.broadcast(sent, 2);
    EXPECT_TRUE(at::equal(sent, numbers(2)));
    const auto all = group.gather(numbers(group.rank()));
    EXPECT_TRUE(at::equal(all, at::stack({numbers(0), numbers(1), numbers(2)})));
  });
}

TEST(Group, HostsTellEachOther) {
  run_ranks(3, [](Group& group) {
    EXPECT_EQ(group.largest(group.rank() == 1 ? 15 : 0), 15);
    const std::vector<std::string> own{"", "two words", std::string("a\0b", 3)};
    EXPECT_EQ(group.gather(own[static_cast<std::size_t>(group.rank())]), own);
    EXPECT_EQ(group.leads(), group.rank() == 0);
  });
}

TEST(Group, RefusesATensorThatIsNotContiguous) {
  run_ranks(1, [](Group& group) { EXPECT_ANY_THROW(group.sum(at::zeros({2, 3}).t())); });
}

/// The loss is the sum over the ranks of weight_r * s^2 with s the sum of all x: its gradient of any x is
/// 2 s * sum of the weights.
TEST(AllSum, GradientsAreThoseOfTheSumOfAllLosses) {
  run_ranks(3, [](Group& group) {
    const auto x = at::full({}, 1.0 + static_cast<double>(group.rank()), at::kDouble).requires_grad_();
    const auto sum = all_sum(x, group);
    EXPECT_EQ(sum.item<double>(), 6);
    (sum.square() * (10.0 + static_cast<double>(group.rank()))).backward();
    EXPECT_EQ(x.grad().item<double>(), 2 * 6 * 33);
  });
}

TEST(SharedStatistics, HoldForAThreadAndAScope) {
  run_ranks(2, [](Group& group) {
    const SharedStatistics all(&group, true);
    {
      const SharedStatistics loads(&group, false);
      EXPECT_EQ(SharedStatistics::of_loads(), &group);
      EXPECT_EQ(SharedStatistics::of_norms(), nullptr);
    }
    EXPECT_EQ(SharedStatistics::of_norms(), &group);
  });
  EXPECT_EQ(SharedStatistics::of_loads(), nullptr);
}

}  // namespace
}  // namespace codmoe::dist
