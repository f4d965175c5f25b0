// Two results of codmoe-bench, case by case.
#pragma once

#include <string>
#include <vector>

#include "benchmarks/record.h"

namespace codmoe::bench {

/// One case in both results.
struct Change {
  Record before, after;
  double latency_ratio = 1;         ///< after / before, of median_ms
  std::optional<double> gpu_ratio;  ///< the same of gpu_ms
  double noise = 0;                 ///< ratios within 1 -+ noise mean nothing
  bool slower = false, faster = false;
};

/// Relative standard error of a record's median, if its samples were normal: 1.25 sigma / sqrt(runs), with sigma from
/// the distance of the 95th percentile.
double median_error(const Record& record);

/// Pairs the cases that agree in everything but the measurements; cases of one side alone are left out. A change counts
/// beyond three standard errors of both medians together, and beyond 5 %, by which clocks and machines drift.
std::vector<Change> compare(const std::vector<Record>& before, const std::vector<Record>& after);

std::string format_changes(const std::vector<Change>& changes);

}  // namespace codmoe::bench
