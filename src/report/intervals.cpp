#include "codmoe/report/intervals.h"

#include <ATen/ATen.h>

#include <algorithm>
#include <limits>

#include "codmoe/core/seed.h"
#include "codmoe/metrics/registry.h"
#include "codmoe/report/evaluation.h"

namespace codmoe::report {
namespace {

// [samples, n]: how often each of n images is drawn, divided by n.
at::Tensor draw(int64_t n) {
  at::Tensor weights = at::zeros({bootstrap_samples, n}, at::kDouble);
  auto w = weights.accessor<double, 2>();
  for (int64_t sample = 0; sample < bootstrap_samples; ++sample) {
    for (int64_t k = 0; k < n; ++k) {
      const uint64_t random = core::mix_seed(0, static_cast<uint64_t>(sample), static_cast<uint64_t>(k));
      w[sample][static_cast<int64_t>(random % static_cast<uint64_t>(n))] += 1 / static_cast<double>(n);
    }
  }
  return weights;
}

// @param of_samples [samples]
Interval middle(const at::Tensor& of_samples) {
  const at::Tensor values = of_samples.contiguous();
  std::vector<double> sorted(values.const_data_ptr<double>(), values.const_data_ptr<double>() + values.numel());
  if (std::ranges::any_of(sorted, [](double value) { return value != value; })) {
    return {std::numeric_limits<double>::quiet_NaN(), std::numeric_limits<double>::quiet_NaN()};
  }
  std::ranges::sort(sorted);
  const std::size_t cut = sorted.size() / 40;
  return {sorted[cut], sorted[sorted.size() - 1 - cut]};
}

// [n, 256]: each image's curve of a threshold metric.
at::Tensor curves(const std::vector<ImageResult>& images, std::size_t metric) {
  at::Tensor list = at::empty({static_cast<int64_t>(images.size()), metrics::thresholds}, at::kDouble);
  auto values = list.accessor<double, 2>();
  for (std::size_t i = 0; i < images.size(); ++i) {
    for (int t = 0; t < metrics::thresholds; ++t) {
      values[static_cast<int64_t>(i)][t] = metrics::threshold_metrics()[metric].score(images[i].scores.counts.at(t));
    }
  }
  return list;
}

// [n]: each image's own score. But for the max of the mean curve, the dataset's is their mean.
at::Tensor own_scores(const std::vector<ImageResult>& images, std::size_t column) {
  at::Tensor values = at::empty({static_cast<int64_t>(images.size())}, at::kDouble);
  for (std::size_t i = 0; i < images.size(); ++i) {
    values.data_ptr<double>()[i] = images[i].values[column];
  }
  return values;
}

}  // namespace

std::vector<Interval> bootstrap_intervals(const std::vector<ImageResult>& images) {
  const at::Tensor weights = draw(static_cast<int64_t>(images.size()));
  std::vector<Interval> intervals;
  for (std::size_t i = 0; i < metrics::columns().size(); ++i) {
    const metrics::Column& column = metrics::columns()[i];
    if (!column.headline) continue;
    intervals.push_back(middle(column.statistic == metrics::Statistic::curve_max
                                   ? at::amax(weights.matmul(curves(images, column.metric)), 1)
                                   : weights.matmul(own_scores(images, i))));
  }
  return intervals;
}

Interval bootstrap_interval(const std::vector<double>& values) {
  return middle(draw(static_cast<int64_t>(values.size())).matmul(at::tensor(values, at::kDouble)));
}

}  // namespace codmoe::report
