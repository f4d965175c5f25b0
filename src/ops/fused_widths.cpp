#include "fused_widths.h"

#include <ATen/ATen.h>
#include <c10/util/TypeCast.h>
#include <fmt/format.h>

#include <algorithm>

#include "cuda/fused_moe.h"

namespace codmoe::ops {

FusedWidths::FusedWidths(int64_t channels)
    : given_(channels), widened_((channels + cuda::kChannelStep - 1) / cuda::kChannelStep * cuda::kChannelStep) {}

namespace {

bool is_branch(const FusedConv& conv) { return conv.target == 0; }

/// Of the channels as the kernels see them, and the taps.
int64_t largest_size(const at::Tensor& weight, const FusedWidths& widths) {
  return std::max<int64_t>(
      {widths.widen(weight.size(0)), widths.widen(weight.size(1)), weight.size(2) * weight.size(3)});
}

}  // namespace

int16_t parameter_size(int64_t size) { return c10::checked_convert<int16_t>(size, "int16_t"); }

cuda::Groups FusedWidths::groups(int64_t width) const { return {parameter_size(width), parameter_size(widen(width))}; }

cuda::Groups FusedWidths::fusion_input(const FusedExpert& expert) const {
  if (added() == 0) return groups(given_);
  return groups(std::ranges::find_if(expert.convs, is_branch)->weight.size(0));
}

std::string width_refusal(const FusedExpert& expert, const FusedWidths& widths) {
  if (widths.added() == 0 || expert.attention_heads > 0) return "";
  const auto refusal = [&] {
    return fmt::format("has widths that don't grow from {} to {} channels", widths.given(), widths.widened());
  };
  int64_t branch_width = 0;
  for (const auto& conv : expert.convs) {
    for (const auto width : {conv.weight.size(0), conv.weight.size(1), conv.source_channel, conv.target_channel})
      if (!widths.fits(width)) return refusal();
    if (!is_branch(conv)) continue;
    if (branch_width != 0 && branch_width != conv.weight.size(0)) return "has branches of different widths";
    branch_width = conv.weight.size(0);
  }
  if (branch_width == 0) return "has no branches";
  if (expert.gate_reduce.weight.defined() && !widths.fits(expert.gate_reduce.weight.size(0))) return refusal();
  return "";
}

static_assert(3 * cuda::kMaxChannels <= cuda::kMaxSize, "attention's qkv has so many filters");

std::string size_refusal(const FusedExpert& expert, const FusedWidths& widths) {
  const auto is_large = [&](const FusedConv& conv) {
    return conv.weight.defined() && largest_size(conv.weight, widths) > cuda::kMaxSize;
  };
  const auto others = {expert.depthwise,   expert.fusion, expert.gate_reduce,
                       expert.gate_expand, expert.qkv,    expert.proj};
  if (std::ranges::none_of(expert.convs, is_large) && std::ranges::none_of(others, is_large)) return "";
  return fmt::format("has a weight of more than {} channels or taps", cuda::kMaxSize);
}

}  // namespace codmoe::ops
