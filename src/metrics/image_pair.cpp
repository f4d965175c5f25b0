#include "codmoe/metrics/image_pair.h"

#include <ATen/ATen.h>

#include <algorithm>
#include <cmath>
#include <numeric>
#include <utility>
#include <vector>

#include "numpy_mean.h"
#include "vector_clones.h"

namespace codmoe::metrics {
namespace {

int64_t sum(const std::array<int64_t, 256>& counts) {
  return std::accumulate(counts.begin(), counts.end(), int64_t{0});
}

CODMOE_VECTOR_CLONES void make_binary(const uint8_t* mask, uint8_t* __restrict out, std::size_t n) {
  for (std::size_t k = 0; k < n; ++k) out[k] = mask[k] > 128;
}

// Adds a row of the mask to the sums of its columns, and returns its own.
CODMOE_VECTOR_CLONES int32_t add_row(const uint8_t* row, int32_t* __restrict columns, std::size_t n) {
  int32_t sum = 0;
  for (std::size_t j = 0; j < n; ++j) {
    columns[j] += row[j];
    sum += row[j];
  }
  return sum;
}

// Row and column that the quadrants are cut before: the centroid, rounded to even at .5, plus 1.
std::pair<int64_t, int64_t> cut_after_centroid(const uint8_t* mask, int64_t height, int64_t width) {
  std::vector<int32_t> columns(static_cast<std::size_t>(width));
  int64_t n = 0;
  int64_t row_sum = 0;
  for (int64_t i = 0; i < height; ++i) {
    const int32_t in_row = add_row(mask + i * width, columns.data(), columns.size());
    n += in_row;
    row_sum += i * in_row;
  }
  if (n == 0) return {height, width};  // no score of an empty mask looks at its quadrants
  int64_t column_sum = 0;
  for (int64_t j = 0; j < width; ++j) column_sum += j * columns[static_cast<std::size_t>(j)];
  const auto after = [n](int64_t total) {
    return static_cast<int64_t>(std::nearbyint(static_cast<double>(total) / static_cast<double>(n))) + 1;
  };
  return {after(row_sum), after(column_sum)};
}

Quadrant count_quadrant(const ImagePair& pair, int64_t top, int64_t bottom, int64_t left, int64_t right) {
  // Runs of one level would wait for each other's increment: neighbours count in different tables.
  std::array<std::array<uint32_t, 512>, 4> tables{};
  const auto* pred = pair.pred_hw.const_data_ptr<uint8_t>();
  const auto* mask = pair.mask_hw.const_data_ptr<uint8_t>();
  for (int64_t i = top; i < bottom; ++i) {
    const uint8_t* p = pred + i * pair.width;
    const uint8_t* m = mask + i * pair.width;
    for (int64_t j = left; j < right; ++j) ++tables[static_cast<std::size_t>(j & 3)][p[j] | (m[j] << 8)];
  }
  Quadrant quadrant{.height = bottom - top, .width = right - left};
  for (const auto& table : tables) {
    for (std::size_t k = 0; k < 512; ++k) quadrant.levels[k >> 8][k & 255] += table[k];
  }
  return quadrant;
}

void count_levels(ImagePair& pair) {
  const auto [row, column] = cut_after_centroid(pair.mask_hw.const_data_ptr<uint8_t>(), pair.height, pair.width);
  pair.quadrants = {count_quadrant(pair, 0, row, 0, column), count_quadrant(pair, 0, row, column, pair.width),
                    count_quadrant(pair, row, pair.height, 0, column),
                    count_quadrant(pair, row, pair.height, column, pair.width)};
  for (const Quadrant& quadrant : pair.quadrants) {
    for (std::size_t m = 0; m < 2; ++m) {
      for (std::size_t k = 0; k < 256; ++k) pair.levels[m][k] += quadrant.levels[m][k];
    }
  }
}

void set_values(ImagePair& pair, bool normalize) {
  const auto occurs = [&pair](std::size_t k) { return pair.levels[0][k] + pair.levels[1][k] > 0; };
  std::size_t first = 0;
  std::size_t last = 255;
  while (!occurs(first)) ++first;
  while (!occurs(last)) --last;
  const double min = static_cast<double>(first) / 255;
  const double max = static_cast<double>(last) / 255;
  for (std::size_t k = first; k <= last; ++k) {
    const double value = static_cast<double>(k) / 255;
    pair.value[k] = normalize && first != last ? (value - min) / (max - min) : value;
  }
}

template <class Decision>
Confusion count(const GreyHistogram& grey, const Decision& positive) {
  Confusion c;
  for (std::size_t k = 0; k < 256; ++k) {
    (positive(grey.value[k]) ? c.tp : c.fn) += grey.levels[1][k];
    (positive(grey.value[k]) ? c.fp : c.tn) += grey.levels[0][k];
  }
  return c;
}

void check(const at::Tensor& pred_hw, const at::Tensor& mask_hw) {
  TORCH_CHECK(pred_hw.dim() == 2 && mask_hw.sizes() == pred_hw.sizes(), "prediction ", pred_hw.sizes(), " and mask ",
              mask_hw.sizes(), " must have one size [H, W]");
  TORCH_CHECK(
      pred_hw.scalar_type() == at::kByte && mask_hw.scalar_type() == at::kByte && pred_hw.is_cpu() && mask_hw.is_cpu(),
      "prediction and mask must be uint8 on the CPU");
  TORCH_CHECK(std::min(pred_hw.size(0), pred_hw.size(1)) >= 1 && std::max(pred_hw.size(0), pred_hw.size(1)) <= 32767,
              "an image side must be 1 to 32767 pixels long, these are ", pred_hw.sizes());
}

}  // namespace

int64_t GreyHistogram::foreground() const { return sum(levels[1]); }

Confusion GreyHistogram::at_least(double threshold) const {
  return count(*this, [threshold](double v) { return v >= threshold; });
}

Confusion GreyHistogram::above(double threshold) const {
  return count(*this, [threshold](double v) { return v > threshold; });
}

ThresholdCounts GreyHistogram::all_thresholds() const {
  ThresholdCounts counts{.foreground = sum(levels[1]), .background = sum(levels[0])};
  for (std::size_t k = 0; k < 256; ++k) {
    const auto level = static_cast<uint8_t>(value[k] * 255);
    counts.tp[level] += static_cast<uint32_t>(levels[1][k]);
    counts.fp[level] += static_cast<uint32_t>(levels[0][k]);
  }
  for (std::size_t t = thresholds - 1; t-- > 0;) {
    counts.tp[t] += counts.tp[t + 1];
    counts.fp[t] += counts.fp[t + 1];
  }
  return counts;
}

ImagePair make_image_pair(const at::Tensor& pred_hw, const at::Tensor& mask_hw, const ScoreOptions& options) {
  check(pred_hw, mask_hw);
  ImagePair pair;
  pair.height = pred_hw.size(0);
  pair.width = pred_hw.size(1);
  pair.pred_hw = pred_hw.contiguous();
  pair.mask_hw = at::empty(mask_hw.sizes(), at::kByte);
  const at::Tensor mask = mask_hw.contiguous();
  make_binary(mask.const_data_ptr<uint8_t>(), pair.mask_hw.mutable_data_ptr<uint8_t>(),
              static_cast<std::size_t>(pair.size()));
  count_levels(pair);
  set_values(pair, options.normalize);
  const uint8_t* levels = pair.pred_hw.const_data_ptr<uint8_t>();
  const double total = pairwise_sum(0, pair.size(), [&pair, levels](int64_t i) { return pair.value[levels[i]]; });
  pair.adaptive_threshold = std::min(2 * (total / static_cast<double>(pair.size())), 1.0);
  return pair;
}

}  // namespace codmoe::metrics
