// Sums in the order in which numpy (2.x) adds float64, where a later comparison hangs on the last bit of a mean.
#pragma once

#include <algorithm>
#include <array>
#include <cstdint>

namespace codmoe::metrics {

/// numpy's pairwise summation of at(begin) … at(begin + n - 1).
template <class At>
double pairwise_sum(int64_t begin, int64_t n, const At& at) {
  if (n < 8) {
    double sum = 0;
    for (int64_t i = 0; i < n; ++i) sum += at(begin + i);
    return sum;
  }
  if (n > 128) {
    const int64_t half = n / 2 - (n / 2) % 8;
    return pairwise_sum(begin, half, at) + pairwise_sum(begin + half, n - half, at);
  }
  std::array<double, 8> r{};
  for (std::size_t k = 0; k < 8; ++k) r[k] = at(begin + static_cast<int64_t>(k));
  int64_t i = 8;
  for (; i + 8 <= n; i += 8) {
    for (std::size_t k = 0; k < 8; ++k) r[k] += at(begin + i + static_cast<int64_t>(k));
  }
  double sum = ((r[0] + r[1]) + (r[2] + r[3])) + ((r[4] + r[5]) + (r[6] + r[7]));
  for (; i < n; ++i) sum += at(begin + i);
  return sum;
}

/// The same of numbers that are 0 before `first` and from `last` on, which are not asked for.
template <class At>
double pairwise_sum_within(int64_t begin, int64_t n, int64_t first, int64_t last, const At& at) {
  if (begin + n <= first || begin >= last) return 0;
  if (n <= 128) return pairwise_sum(begin, n, [&](int64_t i) { return i < first || i >= last ? 0 : at(i); });
  const int64_t half = n / 2 - (n / 2) % 8;
  return pairwise_sum_within(begin, half, first, last, at) +
         pairwise_sum_within(begin + half, n - half, first, last, at);
}

/// numpy's mean of a constant [height, width] view into an image of `image_width` columns: it adds blocks of whole rows
/// of at most 8192 elements, or everything at once where the view's elements are evenly spaced.
inline double constant_view_mean(double value, int64_t height, int64_t width, int64_t image_width) {
  const auto at = [value](int64_t) { return value; };
  const bool evenly_spaced = width == image_width || width == 1 || height == 1;
  const int64_t rows = evenly_spaced ? height : std::max<int64_t>(1, 8192 / width);
  double sum = 0;
  for (int64_t row = 0; row < height; row += rows) sum += pairwise_sum(0, std::min(rows, height - row) * width, at);
  return sum / static_cast<double>(height * width);
}

}  // namespace codmoe::metrics
