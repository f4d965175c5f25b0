#include "codmoe/dist/all_to_all.h"

#include <ATen/ATen.h>
#include <gtest/gtest.h>

#include "support/ranks.h"

namespace codmoe::dist {
namespace {

using test::run_ranks;

/// From rank 0 nothing goes to itself, rank 2 gets nothing from anyone, and rank 1 two rows of itself.
constexpr int64_t kRows[3][3] = {{0, 3, 0}, {1, 2, 0}, {4, 1, 0}};

RowCounts counts_of(int64_t rank) {
  RowCounts counts;
  for (int64_t other = 0; other < 3; ++other) {
    counts.send.push_back(kRows[rank][other]);
    counts.receive.push_back(kRows[other][rank]);
  }
  return counts;
}

/// 100 * from + 10 * to + number, in rows of [2, 3].
at::Tensor rows_between(int64_t from, int64_t to, c10::ScalarType type = at::kDouble) {
  const auto first = static_cast<double>(100 * from + 10 * to);
  return (at::arange(kRows[from][to], type) + first).view({-1, 1, 1}).expand({-1, 2, 3}).contiguous();
}

at::Tensor rows_from(int64_t rank, c10::ScalarType type = at::kDouble) {
  return at::cat({rows_between(rank, 0, type), rows_between(rank, 1, type), rows_between(rank, 2, type)});
}
at::Tensor rows_to(int64_t rank, c10::ScalarType type = at::kDouble) {
  return at::cat({rows_between(0, rank, type), rows_between(1, rank, type), rows_between(2, rank, type)});
}

TEST(AllToAll, RowsReachTheirRanksInOrder) {
  run_ranks(3, [](Group& group) {
    for (const auto type : {at::kDouble, at::kFloat, at::kBFloat16, at::kHalf, at::kLong}) {
      const auto received = group.exchange(rows_from(group.rank(), type), counts_of(group.rank()));
      EXPECT_TRUE(received.equal(rows_to(group.rank(), type))) << group.rank() << " " << type;
    }
  });
}

TEST(AllToAll, TakesRowsOfAnyMemoryOrder) {
  run_ranks(3, [](Group& group) {
    const auto turned = rows_from(group.rank()).transpose(1, 2).contiguous().transpose(1, 2);
    EXPECT_TRUE(group.exchange(turned, counts_of(group.rank())).equal(rows_to(group.rank())));
  });
}

TEST(AllToAll, RefusesCountsThatAreNotTheRows) {
  run_ranks(1, [](Group& group) {
    EXPECT_ANY_THROW(group.exchange(at::zeros({3, 2}), {.send = {2}, .receive = {2}}));
  });
}

/// Each rank's loss is the sum of row * (rank + 1): a row's gradient tells where it was.
TEST(AllToAll, GradientsComeBackFromWhereTheRowsWent) {
  run_ranks(3, [](Group& group) {
    const auto rows = rows_from(group.rank()).requires_grad_();
    (all_to_all(rows, counts_of(group.rank()), group).sum() * static_cast<double>(group.rank() + 1)).backward();
    const auto& sent = kRows[group.rank()];
    const auto expected =
        at::cat({at::full({sent[0], 2, 3}, 1.0), at::full({sent[1], 2, 3}, 2.0), at::full({sent[2], 2, 3}, 3.0)})
            .to(at::kDouble);
    EXPECT_TRUE(rows.grad().equal(expected)) << group.rank();
  });
}

/// On rank 1 the second call's rows have nothing to do with the first's; the others still wait for it there.
TEST(AllToAll, BackwardRunsWhereNothingFlows) {
  run_ranks(3, [](Group& group) {
    const auto counts = counts_of(group.rank());
    const auto rows = rows_from(group.rank()).requires_grad_();
    const auto there = all_to_all(rows, counts, group);
    const auto own = group.rank() == 1 ? at::zeros_like(there).requires_grad_() : there * 2;
    const auto back = all_to_all(own, {.send = counts.receive, .receive = counts.send}, group, there);
    (back * rows.detach()).sum().backward();
    auto expected = 2 * rows.detach();
    expected.narrow(0, counts.send[0], counts.send[1]).zero_();  // what went to rank 1
    EXPECT_TRUE(rows.grad().equal(expected)) << group.rank();
  });
}

}  // namespace
}  // namespace codmoe::dist
