#include "codmoe/dist/owned_state.h"

#include <ATen/ATen.h>
#include <gtest/gtest.h>

#include "support/ranks.h"
#include "support/tensors.h"

namespace codmoe::dist {
namespace {

/// Sizes that leave what follows at odd addresses.
core::TensorMap state_of(int64_t rank) {
  const auto value = static_cast<double>(rank + 1);
  return {{"a", at::full({3}, value, at::kBFloat16)},
          {"b", at::full({2, 3}, value, at::kDouble)},
          {"c", at::full({}, value, at::kLong)},
          {"d", at::full({5}, value, at::kFloat)},
          {"everyone's", at::full({2}, value, at::kFloat)},
          {"empty", at::zeros({0}, at::kFloat)}};
}

TEST(OwnedState, EveryRankGetsTheOwnersValues) {
  test::run_ranks(4, [](Group& group) {
    const Owners owners{{"a", 1}, {"b", 1}, {"c", 1}, {"d", 3}, {"empty", 1}, {"not there", 2}};
    const auto state = state_of(group.rank());
    fill_from_owners(state, owners, group);
    auto expected = state_of(1);
    expected["d"] = state_of(3).at("d");
    expected["everyone's"] = state_of(group.rank()).at("everyone's");
    EXPECT_TRUE(test::are_equal(state, expected)) << group.rank();
  });
}

TEST(OwnedState, KeepsTheMemoryOrderOfItsTensors) {
  test::run_ranks(2, [](Group& group) {
    const auto values = at::arange(24, at::kDouble).view({2, 3, 2, 2});
    const auto weight = at::zeros({2, 3, 2, 2}, at::kDouble).contiguous(at::MemoryFormat::ChannelsLast);
    if (group.leads()) weight.copy_(values);
    fill_from_owners({{"weight", weight}}, {{"weight", 0}}, group);
    EXPECT_TRUE(weight.equal(values));
    EXPECT_TRUE(weight.is_contiguous(at::MemoryFormat::ChannelsLast));
  });
}

}  // namespace
}  // namespace codmoe::dist
