#include <ATen/ATen.h>

#include <algorithm>
#include <limits>
#include <vector>

#include "codmoe/metrics/batch_scores.h"

namespace codmoe::metrics {
namespace {

// Keys of one block of rows at a time, 256 or 512 MiB.
constexpr int64_t block_elements = int64_t{1} << 26;

struct ColumnNearest {
  at::Tensor row_bhw;      // of the foreground pixel nearest in the pixel's own column, the upper of two
  at::Tensor squares_bhw;  // squared distance to it; in a column without one more than any distance in the image
};

ColumnNearest nearest_in_column(const at::Tensor& mask_bhw, at::ScalarType type) {
  const int64_t h = mask_bhw.size(1);
  const int64_t w = mask_bhw.size(2);
  const auto rows = at::arange(h, mask_bhw.options().dtype(type)).view({1, h, 1});
  const int64_t far = h + w;
  const auto above = std::get<0>(at::cummax(at::where(mask_bhw, rows, at::full_like(rows, -far)), 1));
  const auto below =
      std::get<0>(at::cummin(at::where(mask_bhw, rows, at::full_like(rows, h + far)).flip(1), 1)).flip(1);
  const auto row = at::where(rows - above <= below - rows, above, below);
  const auto distance = (rows - row).abs();
  return {row.clamp(0, h - 1), at::where(distance >= far, at::full_like(distance, h * h + w * w), distance * distance)};
}

}  // namespace

NearestPixel nearest_foreground(const at::Tensor& mask_bhw) {
  const int64_t h = mask_bhw.size(1);
  const int64_t w = mask_bhw.size(2);
  // A key is a squared distance and, for ties, the column: the smallest is the nearest, leftmost one.
  const bool fits = (h * h + 2 * w * w) * w < std::numeric_limits<int32_t>::max();
  const auto type = fits ? at::kInt : at::kLong;
  const ColumnNearest column = nearest_in_column(mask_bhw, type);
  const auto columns = at::arange(w, mask_bhw.options().dtype(type));
  const auto across = (columns.view({w, 1}) - columns).square() * w + columns;  // [to, from]
  std::vector<at::Tensor> keys;
  for (const auto& block :
       (column.squares_bhw * w).view({-1, 1, w}).split(std::max<int64_t>(1, block_elements / (w * w)))) {
    keys.push_back((block + across).amin(2));
  }
  const auto key = at::cat(keys).view(mask_bhw.sizes()).to(at::kLong);
  const auto from = key.remainder(w);
  const auto row = column.row_bhw.to(at::kLong).gather(2, from);
  return {(row * w + from).flatten(1), key.div(w, "floor").flatten(1)};
}

}  // namespace codmoe::metrics
