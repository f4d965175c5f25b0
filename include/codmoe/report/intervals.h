// How far a score may be chance: the images of a dataset are a sample of those that could have been taken.
#pragma once

#include <cstdint>
#include <vector>

namespace codmoe::report {

struct ImageResult;

/// 95 % of the bootstrap's values lie within.
struct Interval {
  double low = 0;
  double high = 0;
};

inline constexpr int64_t bootstrap_samples = 1000;

/// Percentile bootstrap over images, of the headline scores in their order in metrics::columns(); NaN where a score is
/// undefined. The draws are the same at each call. A dataset keeps its own: DatasetResult::intervals. Efron,
/// Tibshirani, An introduction to the bootstrap, 1993.
std::vector<Interval> bootstrap_intervals(const std::vector<ImageResult>& images);

/// The same of the mean of some numbers, at least one.
Interval bootstrap_interval(const std::vector<double>& values);

}  // namespace codmoe::report
