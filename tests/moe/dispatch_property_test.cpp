// Dispatches are the same mathematics, for random layers: outputs, every gradient and the running statistics agree.
#include <gtest/gtest.h>

#include <algorithm>
#include <set>

#include "moe/layer_cases.h"

namespace codmoe::moe {
namespace {

// A norm of two values that are nearly equal magnifies rounding: of other seeds, about one case in 2000 gets to 2e-10.
constexpr double kTolerance = 1e-10;

TEST(DispatchProperty, DispatchesAgree) {
  test::for_all(150, draw_layer, [](const LayerCase& c) {
    auto layer = c.layer();
    const auto x = c.images(), upstream = c.upstreams();
    const auto batched = run_layer(layer, Dispatch::batched, x, upstream);
    expect_same(run_layer(layer, Dispatch::dense, x, upstream), batched, kTolerance);
    expect_same(run_layer(layer, Dispatch::automatic, x, upstream), batched, kTolerance);
    if (!c.sequential_is_another()) {
      expect_same(run_layer(layer, Dispatch::sequential, x, upstream), batched, kTolerance);
    }
  });
}

TEST(DispatchProperty, StridesChangeNothing) {
  test::for_all(40, draw_layer, [](LayerCase c) {
    auto layer = c.layer();
    c.input = c.upstream = Layout::contiguous;
    const auto x = c.images(), upstream = c.upstreams();
    const auto expected = run_layer(layer, Dispatch::batched, x, upstream);
    for (const auto layout : {Layout::channels_last, Layout::sliced, Layout::transposed}) {
      SCOPED_TRACE(core::name_of(layout));
      const auto one = run_layer(layer, Dispatch::batched, lay_out(x, layout), lay_out(upstream, layout));
      expect_same(one, expected, kTolerance);
    }
  });
}

// The generator must reach what the properties claim to cover.
TEST(DispatchProperty, CasesAreOfEveryKind) {
  struct Seen {
    int repeated_expert = 0, idle_expert = 0, all_on_one = 0, row = 0, column = 0, point = 0, single = 0, uneven = 0;
    std::set<int64_t> batch, experts, top_k;
    std::set<std::string> pool, kinds;
  } seen;
  for (uint64_t seed = 1; seed <= 150; ++seed) {
    test::Random random(seed);
    const auto c = draw_layer(random);
    const auto count = static_cast<int64_t>(c.options.experts.size());
    const std::set<std::string> names(c.options.experts.begin(), c.options.experts.end());
    seen.repeated_expert += static_cast<int64_t>(names.size()) < count;
    seen.idle_expert += c.one_route && c.options.top_k < count;
    seen.all_on_one += c.one_route && c.options.top_k == 1 && count > 1 && c.batch > 1;
    seen.row += c.height == 1 && c.width > 1;
    seen.column += c.width == 1 && c.height > 1;
    seen.point += c.height == 1 && c.width == 1;
    seen.single += c.height * c.width == 1 && c.options.norm == nn::NormKind::batch && c.training;
    seen.uneven += c.dim % 4 != 0;
    seen.batch.insert(c.batch);
    seen.experts.insert(count);
    seen.top_k.insert(c.options.top_k);
    seen.pool.insert(names.begin(), names.end());
    seen.kinds.insert(
        fmt::format("{} {} {}", core::name_of(c.options.routing), core::name_of(c.options.norm), c.training));
    for (const auto layout : {c.input, c.upstream}) seen.kinds.insert(std::string(core::name_of(layout)));
  }
  for (const int times : {seen.repeated_expert, seen.idle_expert, seen.all_on_one, seen.row, seen.column, seen.point,
                          seen.single, seen.uneven}) {
    EXPECT_GE(times, 3);
  }
  EXPECT_EQ(seen.batch.size(), 9U);
  EXPECT_EQ(seen.experts.size(), 6U);
  EXPECT_EQ(seen.top_k.size(), 6U);
  EXPECT_EQ(seen.pool.size(), 6U);
  EXPECT_EQ(seen.kinds.size(), 2U * 3U * 2U + kLayouts.size());
}

}  // namespace
}  // namespace codmoe::moe
