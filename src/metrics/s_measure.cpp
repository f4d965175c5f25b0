#include "codmoe/metrics/s_measure.h"

#include <algorithm>
#include <cmath>
#include <limits>

#include "numpy_mean.h"

namespace codmoe::metrics {
namespace {

constexpr double eps = std::numeric_limits<double>::epsilon();

// Similarity of one class's values, of which `value_of(level)` is 1 where right.
template <class ValueOf>
double object_similarity(const std::array<int64_t, 256>& counts, const ValueOf& value_of) {
  double n = 0;
  double sum = 0;
  for (std::size_t k = 0; k < 256; ++k) {
    n += static_cast<double>(counts[k]);
    sum += static_cast<double>(counts[k]) * value_of(k);
  }
  const double mean = sum / n;
  double squares = 0;
  for (std::size_t k = 0; k < 256; ++k) {
    squares += static_cast<double>(counts[k]) * (value_of(k) - mean) * (value_of(k) - mean);
  }
  const double deviation = n > 1 ? std::sqrt(squares / (n - 1)) : 0;
  return 2 * mean / (mean * mean + 1 + deviation + eps);
}

double object_score(const ImagePair& pair) {
  const double share = static_cast<double>(pair.foreground()) / static_cast<double>(pair.size());
  return object_similarity(pair.levels[1], [&pair](std::size_t k) { return pair.value[k]; }) * share +
         object_similarity(pair.levels[0], [&pair](std::size_t k) { return 1 - pair.value[k]; }) * (1 - share);
}

struct Moments {
  double n = 0;
  double mean_pred = 0;
  double mean_mask = 0;
};

// A constant quadrant's mean keeps numpy's rounding: the score's branches below ask whether variances are exactly 0.
Moments moments(const ImagePair& pair, const Quadrant& quadrant) {
  Moments m{.n = static_cast<double>(quadrant.height * quadrant.width)};
  double sum = 0;
  double foreground = 0;
  int levels = 0;
  std::size_t last = 0;
  for (std::size_t k = 0; k < 256; ++k) {
    const auto n = static_cast<double>(quadrant.levels[0][k] + quadrant.levels[1][k]);
    if (n == 0) continue;
    sum += n * pair.value[k];
    foreground += static_cast<double>(quadrant.levels[1][k]);
    last = k;
    ++levels;
  }
  m.mean_pred =
      levels == 1 ? constant_view_mean(pair.value[last], quadrant.height, quadrant.width, pair.width) : sum / m.n;
  m.mean_mask = foreground / m.n;
  return m;
}

double structural_similarity(const ImagePair& pair, const Quadrant& quadrant) {
  if (quadrant.height * quadrant.width == 0) return std::numeric_limits<double>::quiet_NaN();
  const auto [n, x, y] = moments(pair, quadrant);
  double xx = 0;
  double xy = 0;
  double yy = 0;
  for (std::size_t k = 0; k < 256; ++k) {
    const auto background = static_cast<double>(quadrant.levels[0][k]);
    const auto foreground = static_cast<double>(quadrant.levels[1][k]);
    if (background + foreground == 0) continue;
    const double dx = pair.value[k] - x;
    xx += (background + foreground) * dx * dx;
    xy += dx * (foreground * (1 - y) - background * y);
    yy += foreground * (1 - y) * (1 - y) + background * y * y;
  }
  const double scale = n - 1 + eps;
  const double alpha = 4 * x * y * (xy / scale);
  const double beta = (x * x + y * y) * (xx / scale + yy / scale);
  if (alpha != 0) return alpha / (beta + eps);
  return beta == 0 ? 1 : 0;
}

double region_score(const ImagePair& pair) {
  const auto area = static_cast<double>(pair.size());
  double score = 0;
  double rest = 1;
  for (std::size_t q = 0; q < 4; ++q) {
    const Quadrant& quadrant = pair.quadrants[q];
    const double weight = q < 3 ? static_cast<double>(quadrant.height * quadrant.width) / area : rest;
    rest -= weight;
    score += structural_similarity(pair, quadrant) * weight;
  }
  return score;
}

double mean_value(const ImagePair& pair) {
  double sum = 0;
  for (std::size_t k = 0; k < 256; ++k) {
    sum += static_cast<double>(pair.levels[0][k] + pair.levels[1][k]) * pair.value[k];
  }
  return sum / static_cast<double>(pair.size());
}

}  // namespace

double s_measure(const ImagePair& pair) {
  const int64_t foreground = pair.foreground();
  if (foreground == 0) return 1 - mean_value(pair);
  if (foreground == pair.size()) return mean_value(pair);
  const double score = 0.5 * object_score(pair) + 0.5 * region_score(pair);
  return std::isnan(score) ? score : std::max(0.0, score);
}

}  // namespace codmoe::metrics
