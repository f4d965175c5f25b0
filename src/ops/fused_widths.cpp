#ifdef CODMOE_CUDA
#include "fused_widths.h"

#include <ATen/ATen.h>
#include <fmt/format.h>

#include <algorithm>

#include "cuda/fused_moe.h"

namespace codmoe::ops {

FusedWidths::FusedWidths(int64_t channels)
    : given_(channels), widened_((channels + cuda::kChannelStep - 1) / cuda::kChannelStep * cuda::kChannelStep) {}

namespace {

bool is_branch(const FusedConv& conv) { return conv.target == 0; }

}  // namespace

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

}  // namespace codmoe::ops
#endif  // CODMOE_CUDA
