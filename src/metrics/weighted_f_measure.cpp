#include "codmoe/metrics/weighted_f_measure.h"

#include <algorithm>
#include <array>
#include <cmath>
#include <limits>
#include <span>
#include <vector>

#include "codmoe/metrics/distance_transform.h"
#include "vector_clones.h"

namespace codmoe::metrics {
namespace {

constexpr double eps = std::numeric_limits<double>::epsilon();
constexpr int64_t radius = 3;
constexpr std::size_t taps = 2 * radius + 1;

// MATLAB's fspecial('gaussian', 7, 5) is the outer product of this with itself.
std::array<double, taps> gaussian() {
  std::array<double, taps> weights{};
  double sum = 0;
  for (int64_t k = -radius; k <= radius; ++k) {
    sum += weights[static_cast<std::size_t>(k + radius)] = std::exp(-static_cast<double>(k * k) / 50);
  }
  for (double& weight : weights) weight /= sum;
  return weights;
}

using Taps = std::array<const double*, taps>;

// out[j] = sum over k of weights[k] * in[k][j], where the weights are symmetric.
CODMOE_VECTOR_CLONES void smooth(const Taps& in, const std::array<double, taps>& weights, double* __restrict out,
                                 std::size_t n) {
  const auto [a, b, c, d, e, f, g] = in;
  const auto [w0, w1, w2, w3, w4, w5, w6] = weights;
  for (std::size_t j = 0; j < n; ++j) {
    out[j] = w0 * (a[j] + g[j]) + w1 * (b[j] + f[j]) + w2 * (c[j] + e[j]) + w3 * d[j];
  }
}

// terms[j] = the smaller of the two errors where the mask is 1, else 0
CODMOE_VECTOR_CLONES void smaller_within(const uint8_t* mask, const double* own, double* __restrict terms,
                                         std::size_t n) {
  for (std::size_t j = 0; j < n; ++j) {
    const double smaller = own[j] < terms[j] ? own[j] : terms[j];
    terms[j] = mask[j] != 0 ? smaller : 0.0;
  }
}

// levels[j] = own[j] where the mask is 1
CODMOE_VECTOR_CLONES void put_own_levels(const uint8_t* mask, const uint8_t* own, uint8_t* __restrict levels,
                                         std::size_t n) {
  for (std::size_t j = 0; j < n; ++j) levels[j] ^= static_cast<uint8_t>((own[j] ^ levels[j]) & -mask[j]);
}

// In an order that doesn't hang on the processor. One sum alone would wait for itself at each term.
template <class Term>
double sum_of(std::size_t n, const Term& term) {
  std::array<double, 4> sums{};
  std::size_t j = 0;
  for (; j + 4 <= n; j += 4) {
    for (std::size_t k = 0; k < 4; ++k) sums[k] += term(j + k);
  }
  for (; j < n; ++j) sums[0] += term(j);
  return sums[0] + sums[1] + sums[2] + sums[3];
}

// Sum of the errors at the object's pixels, each the smaller of its own and its neighbourhood's smoothed one, where a
// background pixel counts with the error of the object's pixel nearest to it.
class ObjectError {
 public:
  ObjectError(const ImagePair& pair, const Box& box)
      : row_size_(pair.width),
        pred_(pair.pred_hw.const_data_ptr<uint8_t>()),
        mask_(pair.mask_hw.const_data_ptr<uint8_t>()),
        box_(box),
        reach_{std::max<int64_t>(0, box.top - radius), std::min(pair.height, box.bottom + radius),
               std::max<int64_t>(0, box.left - radius), std::min(pair.width, box.right + radius)},
        width_(static_cast<std::size_t>(box.width())),
        levels_(static_cast<std::size_t>(reach_.height() * reach_.width())),
        terms_(width_) {
    std::transform(pair.value.begin(), pair.value.end(), error_of_.begin(), [](double v) { return std::abs(v - 1); });
    errors_.fill(std::vector<double>(width_ + 2 * radius));
    smoothed_.fill(std::vector<double>(width_));
  }

  bool reaches(int64_t i) const { return i >= reach_.top && i < reach_.bottom; }

  /// Once for each row that it reaches, in any order.
  /// @param nearest the prediction's level at the object's pixel nearest to each background pixel of row `i`
  void set_row(int64_t i, std::span<const uint8_t> nearest) {
    std::copy(nearest.begin() + reach_.left, nearest.begin() + reach_.right, levels_of(i));
  }

  double sum() {
    double sum = 0;
    for (int64_t i = box_.top - radius; i < box_.bottom + radius; ++i) {
      if (reaches(i)) {
        smooth_along(i);
      } else {
        std::fill(smoothed_[slot(i)].begin(), smoothed_[slot(i)].end(), 0.0);
      }
      if (i >= box_.top + radius) sum += sum_of_row(i - radius);
    }
    return sum;
  }

 private:
  static std::size_t slot(int64_t i) { return static_cast<std::size_t>(i + static_cast<int64_t>(taps)) % taps; }

  uint8_t* levels_of(int64_t i) { return levels_.data() + (i - reach_.top) * reach_.width(); }

  void smooth_along(int64_t i) {
    uint8_t* levels = levels_of(i);
    const int64_t at = i * row_size_ + box_.left;
    put_own_levels(mask_ + at, pred_ + at, levels + box_.left - reach_.left, width_);
    double* errors = errors_[slot(i)].data();
    double* first = errors + reach_.left - box_.left + radius;
    std::transform(levels, levels + reach_.width(), first, [this](uint8_t level) { return error_of_[level]; });
    Taps in;
    for (std::size_t k = 0; k < taps; ++k) in[k] = errors + k;
    smooth(in, weights_, smoothed_[slot(i)].data(), width_);
  }

  double sum_of_row(int64_t i) {
    Taps in;
    for (std::size_t k = 0; k < taps; ++k) in[k] = smoothed_[slot(i - radius + static_cast<int64_t>(k))].data();
    smooth(in, weights_, terms_.data(), width_);
    smaller_within(mask_ + i * row_size_ + box_.left, errors_[slot(i)].data() + radius, terms_.data(), width_);
    return sum_of(width_, [this](std::size_t j) { return terms_[j]; });
  }

  int64_t row_size_;
  const uint8_t* pred_;
  const uint8_t* mask_;
  Box box_;
  Box reach_;  // of the smoothing, within the image
  std::size_t width_;
  std::vector<uint8_t> levels_;  // [reach]
  std::array<double, taps> weights_ = gaussian();
  std::array<double, 256> error_of_{};              // by grey level, at an object's pixel
  std::array<std::vector<double>, taps> errors_;    // with a margin of `radius` that is 0 outside the image; row i at
  std::array<std::vector<double>, taps> smoothed_;  // slot(i), and the same smoothed along the row
  std::vector<double> terms_;
};

// By squared distance: weights of errors outside the object, from 1 at its border to 2 far away, half of the way within
// 5 pixels; 0 at the object itself. From the last entry on they round to 2.
const std::vector<double>& background_weights() {
  static const std::vector<double> list = [] {
    std::vector<double> weights(270 * 270);
    for (std::size_t k = 1; k < weights.size(); ++k) {
      weights[k] = 2 - std::exp(std::log(0.5) / 5 * std::sqrt(static_cast<double>(k)));
    }
    return weights;
  }();
  return list;
}

double background_error(const ImagePair& pair, int64_t i, std::span<const int32_t> squared_distance) {
  static const std::vector<double>& weights = background_weights();
  const auto last = static_cast<int32_t>(weights.size() - 1);
  const uint8_t* pred = pair.pred_hw.const_data_ptr<uint8_t>() + i * pair.width;
  return sum_of(squared_distance.size(), [&](std::size_t j) {
    return pair.value[pred[j]] * weights[static_cast<std::size_t>(std::min(squared_distance[j], last))];
  });
}

}  // namespace

double weighted_f_measure(const ImagePair& pair) {
  const auto foreground = static_cast<double>(pair.foreground());
  if (foreground == 0) return 0;
  NearestForeground nearest(pair.mask_hw.const_data_ptr<uint8_t>(), pair.height, pair.width);
  ObjectError missed(pair, nearest.box());
  double false_alarms = 0;
  const auto add_row = [&](int64_t i) {
    nearest.go_to(i);
    false_alarms += background_error(pair, i, nearest.squared_distances());
    if (missed.reaches(i)) missed.set_row(i, nearest.values_of(pair.pred_hw.const_data_ptr<uint8_t>()));
  };
  const int64_t middle = (nearest.box().top + nearest.box().bottom) / 2;
  for (int64_t i = middle; i >= 0; --i) add_row(i);
  for (int64_t i = middle + 1; i < pair.height; ++i) add_row(i);
  const double missed_sum = missed.sum();
  const double hits = foreground - missed_sum;
  const double recall = 1 - missed_sum / foreground;
  const double precision = hits / (hits + false_alarms + eps);
  return 2 * recall * precision / (recall + precision + eps);
}

}  // namespace codmoe::metrics
