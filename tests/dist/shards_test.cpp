#include "codmoe/dist/shards.h"

#include <ATen/ATen.h>
#include <gtest/gtest.h>

#include "codmoe/core/memory_meter.h"
#include "support/ranks.h"

namespace codmoe::dist {
namespace {

/// Of several dtypes, sizes no multiple of 16 bytes, without elements, and in another memory order.
std::vector<at::Tensor> tensors_of(int64_t rank) {
  const auto value = static_cast<double>(rank + 1);
  std::vector<at::Tensor> made;
  for (const auto dtype : {at::kDouble, at::kFloat, at::kBFloat16}) {
    for (const int64_t size : {5, 1, 9}) made.push_back((at::arange(size, at::kDouble) * value).to(dtype));
  }
  made.push_back(at::empty({0, 3}));
  made.push_back((at::arange(24).view({2, 3, 2, 2}) * value).contiguous(at::MemoryFormat::ChannelsLast));
  return made;
}

std::vector<int64_t> owners(const Shards& shards, std::size_t count) {
  std::vector<int64_t> all;
  for (std::size_t i = 0; i < count; ++i) all.push_back(shards.owner(i));
  return all;
}

TEST(Shards, GoToTheRankWithTheFewestBytesTheLargestFirst) {
  test::run_ranks(2, [](Group& group) {
    std::vector<at::Tensor> tensors;
    for (const int64_t size : {2, 8, 4, 4, 6}) tensors.push_back(at::zeros({size}, at::kDouble));
    const Shards shards(group, tensors);
    // 8 | 6, then 8 | 6 + 4, 8 + 4 | 6 + 4 and 8 + 4 | 6 + 4 + 2
    EXPECT_EQ(owners(shards, 5), (std::vector<int64_t>{1, 0, 1, 0, 1}));
  });
}

class EveryBuffer : public testing::TestWithParam<int64_t> {};
INSTANTIATE_TEST_SUITE_P(Bytes, EveryBuffer, testing::Values(1, 100, 1 << 20));

TEST_P(EveryBuffer, EachRankHasWhatTheOwnersHave) {
  for (const int64_t ranks : {1, 2, 12}) {  // 12: one owns nothing
    test::run_ranks(ranks, [&](Group& group) {
      const auto own = tensors_of(group.rank());
      Shards shards(group, own, GetParam());
      for (int i = 0; i < 2; ++i) shards.send();
      for (std::size_t i = 0; i < own.size(); ++i) {
        EXPECT_TRUE(own[i].equal(tensors_of(shards.owner(i))[i])) << "tensor " << i << " of " << ranks << " ranks";
      }
    });
  }
}

TEST_P(EveryBuffer, OnlyWhatIsChosenIsSent) {
  test::run_ranks(3, [&](Group& group) {
    const auto own = tensors_of(group.rank());
    Shards shards(group, own, GetParam());
    shards.choose({1, 2, 8, 10});
    shards.send();
    for (std::size_t i = 0; i < own.size(); ++i) {
      const bool sent = i == 1 || i == 2 || i == 8 || i == 10;
      EXPECT_TRUE(own[i].equal(tensors_of(sent ? shards.owner(i) : group.rank())[i])) << i;
    }
  });
}

TEST(Shards, ChoosingTakesNoOtherBuffer) {
  test::run_ranks(2, [](Group& group) {
    const auto own = tensors_of(group.rank());
    const core::MemoryMeter meter;
    Shards shards(group, own);
    const auto peak = meter.peak();
    EXPECT_GT(peak, 0);
    for (int i = 0; i < 3; ++i) shards.choose({0, 4});
    EXPECT_EQ(meter.live(), peak);
    EXPECT_EQ(meter.peak(), peak);
  });
}

TEST(Shards, RefuseAnEmptyList) {
  test::run_ranks(1, [](Group& group) { EXPECT_ANY_THROW(Shards(group, {})); });
}

}  // namespace
}  // namespace codmoe::dist
