#include "codmoe/metrics/context_measure.h"

#include <algorithm>
#include <cmath>
#include <limits>
#include <numbers>
#include <vector>

namespace codmoe::metrics {
namespace {

constexpr double eps = std::numeric_limits<double>::epsilon();
constexpr double alpha = 6;

// Of the mask's rows and columns, with n - 1 in the denominator.
struct Covariance {
  double rows = 0.25;
  double columns = 0.25;
  double both = 0;
};

// The Gaussian's deviations together make `alpha`. One pixel, or none, has the Gaussian of deviation 1/2.
Covariance scaled_covariance(const ImagePair& pair) {
  const auto n = static_cast<double>(pair.foreground());
  if (n <= 1) return {};
  const auto* mask = pair.mask_hw.const_data_ptr<uint8_t>();
  const auto sum = [&](const auto& term) {
    double total = 0;
    for (int64_t i = 0; i < pair.height; ++i) {
      double row = 0;
      for (int64_t j = 0; j < pair.width; ++j) row += mask[i * pair.width + j] != 0 ? term(i, j) : 0;
      total += row;
    }
    return total;
  };
  const double row = sum([](int64_t i, int64_t) { return static_cast<double>(i); }) / n;
  const double column = sum([](int64_t, int64_t j) { return static_cast<double>(j); }) / n;
  const auto moment = [&](const auto& term) {
    return sum([&](int64_t i, int64_t j) {
             return term(static_cast<double>(i) - row, static_cast<double>(j) - column);
           }) /
           (n - 1);
  };
  Covariance c{moment([](double y, double) { return y * y; }), moment([](double, double x) { return x * x; }),
               moment([](double y, double x) { return y * x; })};
  if (c.rows == 0) c.rows = eps;
  if (c.columns == 0) c.columns = eps;
  const double scale = alpha * alpha / (c.rows + c.columns);
  return {c.rows * scale, c.columns * scale, c.both * scale};
}

// [2 * reach_y + 1, 2 * reach_x + 1], of sum 1.
struct Kernel {
  int64_t reach_y;
  int64_t reach_x;
  std::vector<double> weights;
};

Kernel gaussian_kernel(const ImagePair& pair) {
  const Covariance c = scaled_covariance(pair);
  const auto reach = [&](double variance) {
    return pair.foreground() <= 1 ? int64_t{1} : static_cast<int64_t>(std::nearbyint(3 * std::sqrt(variance)));
  };
  Kernel kernel{reach(c.rows), reach(c.columns), {}};
  const double determinant = c.rows * c.columns - c.both * c.both;
  const bool singular = !(determinant > 1e-12 * c.rows * c.columns);  // but for rounding
  double sum = 0;
  for (int64_t i = -kernel.reach_y; i <= kernel.reach_y; ++i) {
    for (int64_t j = -kernel.reach_x; j <= kernel.reach_x; ++j) {
      const auto y = static_cast<double>(i);
      const auto x = static_cast<double>(j);
      const double distance = (c.columns * y * y - 2 * c.both * y * x + c.rows * x * x) / determinant;
      kernel.weights.push_back(singular ? std::nan("") : std::exp(-0.5 * distance));
      sum += kernel.weights.back();
    }
  }
  for (double& weight : kernel.weights) weight /= sum;
  return kernel;
}

// Numbers of an image with a margin around it.
struct Plane {
  int64_t height;
  int64_t width;
  std::vector<double> values;

  Plane(int64_t h, int64_t w) : height(h), width(w), values(static_cast<std::size_t>(h * w)) {}
  double* row(int64_t i) { return values.data() + i * width; }
  const double* row(int64_t i) const { return values.data() + i * width; }
};

// Where the border is a mirror that is not repeated itself: -1 is 1.
int64_t mirrored(int64_t i, int64_t n) {
  if (n == 1) return 0;
  const int64_t k = std::abs(i) % (2 * n - 2);
  return k < n ? k : 2 * n - 2 - k;
}

// @param at of row and column, inside the image or, in the margin, outside
template <class At>
Plane make_plane(const ImagePair& pair, int64_t margin_y, int64_t margin_x, const At& at) {
  Plane plane(pair.height + 2 * margin_y, pair.width + 2 * margin_x);
  for (int64_t i = 0; i < plane.height; ++i) {
    for (int64_t j = 0; j < plane.width; ++j) plane.row(i)[j] = at(i - margin_y, j - margin_x);
  }
  return plane;
}

// Sum over the places of `where` of term(filtered), where `in` has the kernel's reach as margin around `where`.
template <class Term>
double sum_filtered(const Plane& where, const Plane& in, const Kernel& kernel, const Term& term) {
  std::vector<double> filtered(static_cast<std::size_t>(where.width));
  const int64_t taps_x = 2 * kernel.reach_x + 1;
  double sum = 0;
  for (int64_t i = 0; i < where.height; ++i) {
    const double* here = where.row(i);
    const double* first = std::find(here, here + where.width, 1.0);
    if (first == here + where.width) continue;
    const double* last = here + where.width;
    while (last[-1] == 0) --last;
    const int64_t begin = first - here;
    const int64_t end = last - here;
    std::fill(filtered.begin() + begin, filtered.begin() + end, 0.0);
    for (std::size_t k = 0; k < kernel.weights.size(); ++k) {
      const auto tap = static_cast<int64_t>(k);
      const double weight = kernel.weights[k];
      const double* row = in.row(i + tap / taps_x) + tap % taps_x;
      double* out = filtered.data();
      for (int64_t j = begin; j < end; ++j) out[j] += weight * row[j];
    }
    for (int64_t j = begin; j < end; ++j) sum += here[j] != 0 ? term(filtered[static_cast<std::size_t>(j)]) : 0;
  }
  return sum;
}

double predicted(const ImagePair& pair, int64_t i, int64_t j) {
  return pair.value[pair.pred_hw.const_data_ptr<uint8_t>()[i * pair.width + j]];
}

double masked(const ImagePair& pair, int64_t i, int64_t j) {
  return pair.mask_hw.const_data_ptr<uint8_t>()[i * pair.width + j];
}

// Sum over the prediction of the mask's filtered value. The kernel is symmetric, so this is the sum over the mask,
// mirrored into the margin, of the prediction's filtered value, with zeros around it: the mask has fewer pixels.
double forward_inference(const ImagePair& pair, const Kernel& kernel) {
  const int64_t y = kernel.reach_y;
  const int64_t x = kernel.reach_x;
  const Plane mask = make_plane(pair, y, x, [&](int64_t i, int64_t j) {
    return masked(pair, mirrored(i, pair.height), mirrored(j, pair.width));
  });
  const Plane pred = make_plane(pair, 2 * y, 2 * x, [&](int64_t i, int64_t j) {
    return i >= 0 && i < pair.height && j >= 0 && j < pair.width ? predicted(pair, i, j) : 0;
  });
  return sum_filtered(mask, pred, kernel, [](double filtered) { return filtered; });
}

// Sum over the mask of how far the prediction covers its context.
double reverse_deduction(const ImagePair& pair, const Kernel& kernel) {
  constexpr double scale = std::numbers::e / (std::numbers::e - 1);
  const Plane mask = make_plane(pair, 0, 0, [&](int64_t i, int64_t j) { return masked(pair, i, j); });
  const Plane pred = make_plane(pair, kernel.reach_y, kernel.reach_x, [&](int64_t i, int64_t j) {
    return predicted(pair, mirrored(i, pair.height), mirrored(j, pair.width));
  });
  return sum_filtered(mask, pred, kernel, [](double filtered) { return scale * (1 - std::exp(-filtered)); });
}

double sum_of_values(const ImagePair& pair) {
  double sum = 0;
  for (std::size_t k = 0; k < 256; ++k) {
    sum += static_cast<double>(pair.levels[0][k] + pair.levels[1][k]) * pair.value[k];
  }
  return sum;
}

}  // namespace

double context_measure(const ImagePair& pair) {
  const Kernel kernel = gaussian_kernel(pair);
  const double forward = forward_inference(pair, kernel) / (sum_of_values(pair) + eps);
  const double reverse = reverse_deduction(pair, kernel) / (static_cast<double>(pair.foreground()) + eps);
  return 2 * forward * reverse / (forward + reverse + eps);
}

}  // namespace codmoe::metrics
