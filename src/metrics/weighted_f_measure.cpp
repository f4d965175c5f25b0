#include "codmoe/metrics/weighted_f_measure.h"

#include <algorithm>
#include <array>
#include <cmath>
#include <limits>
#include <vector>

#include "codmoe/metrics/distance_transform.h"

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

struct Box {
  int64_t top, bottom, left, right;  // half open

  int64_t height() const { return bottom - top; }
  int64_t width() const { return right - left; }
};

// Of a mask that is not empty.
Box bounding_box(const uint8_t* mask, int64_t height, int64_t width) {
  Box box{height, 0, width, 0};
  for (int64_t i = 0; i < height; ++i) {
    const uint8_t* row = mask + i * width;
    const uint8_t* end = row + width;
    const uint8_t* first = std::find(row, end, 1);
    if (first == end) continue;
    while (end[-1] == 0) --end;
    box = {std::min(box.top, i), i + 1, std::min<int64_t>(box.left, first - row),
           std::max<int64_t>(box.right, end - row)};
  }
  return box;
}

// Sum of the errors at the object's pixels, each the smaller of its own and its neighbourhood's smoothed one, where a
// background pixel counts with the error of the object's pixel nearest to it. Fed row by row; keeps 7 rows.
class ObjectError {
 public:
  explicit ObjectError(const ImagePair& pair)
      : pair_(pair),
        pred_(pair.pred_hw.const_data_ptr<uint8_t>()),
        mask_(pair.mask_hw.const_data_ptr<uint8_t>()),
        box_(bounding_box(mask_, pair.height, pair.width)),
        errors_(static_cast<std::size_t>(box_.width() + 2 * radius)),
        smoothed_(static_cast<std::size_t>(box_.width())) {
    rows_.fill(std::vector<double>(static_cast<std::size_t>(box_.width())));
  }

  /// @param nearest index of the object's pixel nearest to each pixel of row `i`; not read below the image
  void add_row(int64_t i, const int32_t* nearest) {
    if (i < box_.top - radius || i >= box_.bottom + radius) return;
    std::vector<double>& row = rows_[static_cast<std::size_t>(i) % taps];
    if (i < pair_.height) {
      smooth_along(nearest, row);
    } else {
      std::fill(row.begin(), row.end(), 0.0);
    }
    if (i - radius >= box_.top) sum_ += sum_of_row(i - radius);
  }

  double sum() const { return sum_; }
  const Box& box() const { return box_; }

 private:
  void smooth_along(const int32_t* nearest, std::vector<double>& row) {
    const int64_t right = std::min(pair_.width, box_.right + radius);
    for (int64_t j = std::max<int64_t>(0, box_.left - radius); j < right; ++j) {
      errors_[static_cast<std::size_t>(j - box_.left + radius)] = std::abs(pair_.value[pred_[nearest[j]]] - 1);
    }
    smooth(row, [this](std::size_t k) { return errors_.data() + k; });
  }

  // out[j] = sum over k of weights_[k] * input(k)[j]
  template <class Input>
  void smooth(std::vector<double>& out, const Input& input) const {
    std::array<const double*, taps> in;
    for (std::size_t k = 0; k < taps; ++k) in[k] = input(k);
    const std::array<double, taps> weights = weights_;
    double* __restrict sums = out.data();
    for (std::size_t j = 0; j < out.size(); ++j) {
      double sum = 0;
      for (std::size_t k = 0; k < taps; ++k) sum += weights[k] * in[k][j];
      sums[j] = sum;
    }
  }

  double sum_of_row(int64_t i) {
    smooth(smoothed_,
           [this, i](std::size_t k) { return rows_[(static_cast<std::size_t>(i) + k + taps - radius) % taps].data(); });
    const int64_t first = i * pair_.width + box_.left;
    double sum = 0;
    for (std::size_t j = 0; j < smoothed_.size(); ++j) {
      const int64_t pixel = first + static_cast<int64_t>(j);
      if (mask_[pixel]) sum += std::min(std::abs(pair_.value[pred_[pixel]] - 1), smoothed_[j]);
    }
    return sum;
  }

  const ImagePair& pair_;
  const uint8_t* pred_;
  const uint8_t* mask_;
  Box box_;
  std::array<double, taps> weights_ = gaussian();
  std::vector<double> errors_;                  // of one row, with a margin of `radius` that is 0 outside the image
  std::array<std::vector<double>, taps> rows_;  // smoothed along the row; row i at i modulo 7
  std::vector<double> smoothed_;
  double sum_ = 0;
};

// By squared distance: weights of errors outside the object, from 1 at its border to 2 far away, half of the way within
// 5 pixels. From the last entry on they round to 2.
const std::vector<double>& background_weights() {
  static const std::vector<double> list = [] {
    std::vector<double> weights(270 * 270);
    for (std::size_t k = 0; k < weights.size(); ++k) {
      weights[k] = 2 - std::exp(std::log(0.5) / 5 * std::sqrt(static_cast<double>(k)));
    }
    return weights;
  }();
  return list;
}

// By mask << 8 | level: the value in the background, 0 in the object.
std::array<double, 512> background_errors(const ImagePair& pair) {
  std::array<double, 512> errors{};
  std::copy(pair.value.begin(), pair.value.end(), errors.begin());
  return errors;
}

double background_error(const ImagePair& pair, int64_t i, const std::array<double, 512>& errors,
                        const std::vector<int32_t>& squared_distance) {
  static const std::vector<double>& weights = background_weights();
  const auto last = static_cast<int32_t>(weights.size() - 1);
  const uint8_t* pred = pair.pred_hw.const_data_ptr<uint8_t>() + i * pair.width;
  const uint8_t* mask = pair.mask_hw.const_data_ptr<uint8_t>() + i * pair.width;
  const auto error = [&](std::size_t j) {
    const auto distance = static_cast<std::size_t>(std::min(squared_distance[j], last));
    return errors[static_cast<std::size_t>(mask[j] << 8 | pred[j])] * weights[distance];
  };
  std::array<double, 4> sums{};  // one alone would wait for itself at each pixel
  std::size_t j = 0;
  for (; j + 4 <= squared_distance.size(); j += 4) {
    for (std::size_t k = 0; k < 4; ++k) sums[k] += error(j + k);
  }
  for (; j < squared_distance.size(); ++j) sums[0] += error(j);
  return sums[0] + sums[1] + sums[2] + sums[3];
}

}  // namespace

double weighted_f_measure(const ImagePair& pair) {
  const auto foreground = static_cast<double>(pair.foreground());
  if (foreground == 0) return 0;
  NearestForeground nearest(pair.mask_hw.const_data_ptr<uint8_t>(), pair.height, pair.width);
  std::vector<int32_t> index(static_cast<std::size_t>(pair.width));
  std::vector<int32_t> squared_distance(index.size());
  const auto errors = background_errors(pair);
  ObjectError missed(pair);
  double false_alarms = 0;
  const auto add_background = [&](int64_t i, bool onwards) {
    nearest.row(i, index.data(), squared_distance.data(), onwards);
    false_alarms += background_error(pair, i, errors, squared_distance);
  };
  // From the object outwards, which is faster.
  const int64_t first = std::max<int64_t>(0, missed.box().top - radius);
  const int64_t last = std::min(pair.height, missed.box().bottom + radius) - 1;
  for (int64_t i = first - 1; i >= 0; --i) add_background(i, i < first - 1);
  for (int64_t i = first; i <= last + radius; ++i) {
    if (i <= last) add_background(i, false);
    missed.add_row(i, index.data());
  }
  for (int64_t i = last + 1; i < pair.height; ++i) add_background(i, i > last + 1);
  const double hits = foreground - missed.sum();
  const double recall = 1 - missed.sum() / foreground;
  const double precision = hits / (hits + false_alarms + eps);
  return 2 * recall * precision / (recall + precision + eps);
}

}  // namespace codmoe::metrics
