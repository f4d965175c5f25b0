// The windows of Swin's attention: which pixels they hold, and what each of their pixels adds to the others' scores.
#pragma once

#include <ATen/core/Tensor.h>

namespace codmoe::backbone {

constexpr int64_t swin_window = 7;                     ///< rows and columns, where the map has as many
constexpr int64_t swin_offsets = 2 * swin_window - 1;  ///< differences of two rows, or columns, of a window

/// One side of a map, cut into windows.
struct SwinSide {
  SwinSide(int64_t map_size, bool shifted);

  int64_t size;
  int64_t window;
  int64_t shift;   ///< the map is rolled so far towards its start first; 0 where one window is all
  int64_t padded;  ///< size, rounded up to whole windows
};

/// Cuts maps [B, H, W, C] into windows of N pixels. Made anew for each map: cheaper than an attention layer by far, and
/// without a state that depends on the last image. All on the device, without waiting for it.
class SwinWindows {
 public:
  /// `shifted` by half a window, as every other block's (section 3.2 of the paper).
  SwinWindows(const at::Tensor& x_bhwc, bool shifted);

  /// [B, H, W, C] -> [B * windows, N, C], an image's windows together. Beyond the map, rolled or not, are zeros, which
  /// attention sees, as timm's.
  at::Tensor split(const at::Tensor& x_bhwc) const;
  /// The inverse: [B * windows, N, C] -> [B, H, W, C].
  at::Tensor join(const at::Tensor& x_wnc) const;
  /// What is added to the scores of split(x)'s queries (rows) and keys (columns), of the table's dtype:
  /// [1 or B * windows, heads, N, N]. `table` is [swin_offsets², heads], by rows, then columns, from query to key.
  at::Tensor bias(const at::Tensor& table) const;

 private:
  int64_t batch_;
  SwinSide rows_, columns_;
  at::Tensor order_;     ///< [B * windows * N]: pixel of the padded maps, for each of the windows in turn
  at::Tensor position_;  ///< the inverse permutation
  at::Tensor offset_;    ///< [N * N]: row of the bias table
  at::Tensor apart_;     ///< bool [windows, 1, N, N]: not neighbours but for the roll; undefined without a shift
};

}  // namespace codmoe::backbone
