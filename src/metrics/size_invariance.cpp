#include "codmoe/metrics/size_invariance.h"

#include <algorithm>
#include <limits>

#include "codmoe/metrics/binary_measures.h"
#include "codmoe/metrics/mae.h"
#include "numpy_mean.h"
#include "targets.h"

namespace codmoe::metrics {
namespace {

// Pixels in no box.
LevelCounts count_outside(const ImagePair& pair, const std::vector<TargetBox>& boxes) {
  std::vector<uint8_t> covered(static_cast<std::size_t>(pair.size()));
  for (const TargetBox& box : boxes) {
    for (int64_t i = box.top; i < box.bottom; ++i) {
      std::fill_n(covered.begin() + i * pair.width + box.left, box.right - box.left, uint8_t{1});
    }
  }
  LevelCounts levels{};
  const auto* pred = pair.pred_hw.const_data_ptr<uint8_t>();
  const auto* mask = pair.mask_hw.const_data_ptr<uint8_t>();
  for (std::size_t k = 0; k < covered.size(); ++k) levels[mask[k]][pred[k]] += 1 - covered[k];
  return levels;
}

int64_t pixels_of(const LevelCounts& levels) {
  int64_t n = 0;
  for (const auto& counts : levels) {
    for (const int64_t count : counts) n += count;
  }
  return n;
}

// The image as if it were 0 outside the box, in prediction and mask. Level 0 has value 0 whether it occurs or not.
GreyHistogram alone(const ImagePair& pair, const TargetBox& box) {
  GreyHistogram grey{.levels = count_within(pair, box), .value = pair.value};
  grey.levels[0][0] += pair.size() - box.area();
  return grey;
}

// Twice the mean, at most 1, with numpy's rounding.
double adaptive_threshold(const ImagePair& pair, const TargetBox& box) {
  const auto* pred = pair.pred_hw.const_data_ptr<uint8_t>();
  const auto value = [&](int64_t k) {
    const int64_t j = k % pair.width;
    return j < box.left || j >= box.right ? 0.0 : pair.value[pred[k]];
  };
  const double sum = pairwise_sum_within(0, pair.size(), box.top * pair.width, box.bottom * pair.width, value);
  return std::min(2 * (sum / static_cast<double>(pair.size())), 1.0);
}

double score(const Confusion& c) { return f_measure(c, 0.3); }

// Of one target, or of an image without any.
void add(CurveScores& scores, const GreyHistogram& grey, double adaptive_threshold) {
  const ThresholdCounts counts = grey.all_thresholds();
  const Confusion binary = grey.above(0.5);
  for (int t = 0; t < thresholds; ++t) scores.curve[static_cast<std::size_t>(t)] += score(counts.at(t));
  scores.adaptive += score(grey.at_least(adaptive_threshold));
  scores.binary += score(binary);
  scores.pooled += binary;
}

}  // namespace

double size_invariant_mae(const ImagePair& pair) {
  const std::vector<TargetBox> boxes = find_targets(pair);
  if (boxes.empty()) return mean_absolute_error(pair);
  const LevelCounts outside = count_outside(pair, boxes);
  const int64_t area = pixels_of(outside);
  if (area == 0) return std::numeric_limits<double>::quiet_NaN();
  const double ratio = static_cast<double>(area) / static_cast<double>(pair.size() - area);
  double error = ratio * absolute_error({.levels = outside, .value = pair.value}) / static_cast<double>(area);
  for (const TargetBox& box : boxes) {
    error += absolute_error({.levels = count_within(pair, box), .value = pair.value}) / static_cast<double>(box.area());
  }
  return error / (static_cast<double>(boxes.size()) + ratio);
}

CurveScores size_invariant_f_measure(const ImagePair& pair) {
  const std::vector<TargetBox> boxes = find_targets(pair);
  CurveScores scores{.curve = std::vector<double>(thresholds), .pooled = {}};
  for (const TargetBox& box : boxes) add(scores, alone(pair, box), adaptive_threshold(pair, box));
  if (boxes.empty()) add(scores, pair, pair.adaptive_threshold);
  scores.samples = std::max<int64_t>(1, static_cast<int64_t>(boxes.size()));
  scores.adaptive /= static_cast<double>(scores.samples);
  scores.binary /= static_cast<double>(scores.samples);
  return scores;
}

}  // namespace codmoe::metrics
