// How the fused layer widens channels that are no multiple of 32, and which experts it refuses for theirs.
#include "ops/fused_widths.h"

#include <ATen/ATen.h>
#include <gtest/gtest.h>

namespace codmoe::ops {
namespace {

FusedConv conv(int64_t out, int64_t in, int64_t kernel = 1) { return {.weight = at::empty({out, in, kernel, kernel})}; }

/// An expert of 1x1 branches that read all channels of x.
FusedExpert expert_of(int64_t channels, const std::vector<int64_t>& branches) {
  FusedExpert expert;
  int64_t target = 0;
  for (const auto width : branches) {
    expert.convs.push_back(conv(width, channels));
    expert.convs.back().target_channel = target;
    target += width;
  }
  expert.fusion = conv(channels, channels);
  return expert;
}

TEST(FusedWidths, AreTheNextMultipleOf32) {
  for (const auto& [given, widened] : {std::pair{8, 32}, {24, 32}, {32, 32}, {40, 64}, {304, 320}, {512, 512}}) {
    const FusedWidths widths(given);
    EXPECT_EQ(widths.widened(), widened) << given;
    EXPECT_EQ(widths.groups(given).given, given);
    EXPECT_EQ(widths.groups(given).width, widened);
  }
}

TEST(FusedWidths, BranchesGrowAsTheChannelsDo) {
  const FusedWidths widths(24);
  const auto groups = widths.fusion_input(expert_of(24, {6, 6, 6, 6}));
  EXPECT_EQ(groups.given, 6);
  EXPECT_EQ(groups.width, 8);
  EXPECT_EQ(FusedWidths(32).fusion_input(expert_of(32, {8, 24})).given, 32) << "as they lie where nothing is widened";
}

TEST(WidthRefusal, IsOfWhatDoesNotGrowToWholeChannels) {
  const FusedWidths widths(24);
  const auto why = "has widths that don't grow from 24 to 32 channels";
  EXPECT_EQ(width_refusal(expert_of(24, {6, 6, 6, 6}), widths), "");
  EXPECT_EQ(width_refusal(expert_of(24, {8, 8, 8}), widths), why);
  EXPECT_EQ(width_refusal(expert_of(20, {6, 6, 6, 6}), widths), why) << "inputs";
  auto placed = expert_of(24, {6, 6, 6, 6});
  placed.convs[1].target_channel = 7;
  EXPECT_EQ(width_refusal(placed, widths), why);
  placed.convs[1].target_channel = 6;
  placed.convs[1].source_channel = 1;
  EXPECT_EQ(width_refusal(placed, widths), why);
  auto gated = expert_of(24, {24});
  gated.gate_reduce = conv(6, 24);
  EXPECT_EQ(width_refusal(gated, widths), "");
  gated.gate_reduce = conv(5, 24);
  EXPECT_EQ(width_refusal(gated, widths), why);
}

TEST(WidthRefusal, IsOfUnequalOrMissingBranches) {
  const FusedWidths widths(24);
  EXPECT_EQ(width_refusal(expert_of(24, {6, 6, 12}), widths), "has branches of different widths");
  EXPECT_EQ(width_refusal(expert_of(24, {}), widths), "has no branches");
  auto feeding = expert_of(24, {6});
  feeding.convs[0].target = 1;
  EXPECT_EQ(width_refusal(feeding, widths), "has no branches") << "it feeds one";
}

TEST(WidthRefusal, IsNotOfAttentionNorOfWhatNeedsNoWidening) {
  const FusedWidths widened(24), plain(32);
  FusedExpert attention;
  attention.attention_heads = 8;
  EXPECT_EQ(width_refusal(attention, widened), "");
  EXPECT_EQ(width_refusal(expert_of(32, {5, 27}), plain), "");
  EXPECT_EQ(width_refusal(expert_of(32, {}), plain), "");
}

/// What a parameter has 16 bits for: channels as the kernels see them, and taps.
TEST(SizeRefusal, IsOfWhatDoesNotFit) {
  const auto why = "has a weight of more than 32767 channels or taps";
  const FusedWidths plain(32), widened(24);
  auto expert = expert_of(32, {8, 24});
  EXPECT_EQ(size_refusal(expert, plain), "");
  expert.gate_expand = conv(32767, 1);
  EXPECT_EQ(size_refusal(expert, plain), "");
  EXPECT_EQ(size_refusal(expert, widened), why) << "43689 once it is widened";
  expert.gate_expand = conv(1, 32768);
  EXPECT_EQ(size_refusal(expert, plain), why);
  expert.gate_expand = {};
  expert.convs[0] = conv(1, 1, 181);
  EXPECT_EQ(size_refusal(expert, plain), "");
  expert.convs[0] = conv(1, 1, 182);
  EXPECT_EQ(size_refusal(expert, plain), why);
  EXPECT_THROW(plain.groups(32768), std::exception);
}

}  // namespace
}  // namespace codmoe::ops
