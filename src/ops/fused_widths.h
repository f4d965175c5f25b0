// How a layer's channels lie in the fused kernels, which take multiples of 32.
#pragma once

#include <cstdint>
#include <string>
#include <vector>

#include "codmoe/ops/fused_moe.h"
#include "cuda/groups.h"

namespace codmoe::ops {

/// A size as the kernels' parameters hold it. @throws std::exception where it is above cuda::kMaxSize.
int16_t parameter_size(int64_t size);

/// Widens a layer of C channels to the next multiple of 32. Each group of channels that an expert forms (all of x's, a
/// branch's, an attention head's) grows by the same factor, by channels at its end. What a map holds there counts
/// nowhere (edges leave 1e-3, a gate 0.5): all weights that read or write them are zero, so that results and gradients
/// are those of the layer as it was given.
class FusedWidths {
 public:
  explicit FusedWidths(int64_t channels);

  int64_t given() const { return given_; }
  int64_t widened() const { return widened_; }
  int64_t added() const { return widened_ - given_; }

  /// Whether `width` channels grow to a whole number.
  bool fits(int64_t width) const { return width * widened_ % given_ == 0; }
  int widen(int64_t width) const { return static_cast<int>(width * widened_ / given_); }
  /// A dimension of groups of `width` channels.
  cuda::Groups groups(int64_t width) const;
  /// The groups that an expert's fusion reads: its branches, or all channels where nothing is widened.
  cuda::Groups fusion_input(const FusedExpert& expert) const;

 private:
  int64_t given_, widened_;
};

/// Which maps and channels a convolution goes between, and its taps: the same in both descriptions for the kernels.
template <class Conv>
void place_conv(const FusedConv& from, const FusedWidths& widths, Conv& to) {
  to.kernel = static_cast<int>(from.weight.size(2));
  to.dilation = static_cast<int>(from.dilation);
  to.source = static_cast<int>(from.source);
  to.source_channel = widths.widen(from.source_channel);
  to.target = static_cast<int>(from.target);
  to.target_channel = widths.widen(from.target_channel);
}

/// Why an expert's channels can't be widened, or nothing.
std::string width_refusal(const FusedExpert& expert, const FusedWidths& widths);

/// Why the sizes of an expert's weights can't be told to the kernels, or nothing.
std::string size_refusal(const FusedExpert& expert, const FusedWidths& widths);

}  // namespace codmoe::ops
