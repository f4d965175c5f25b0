// Two results of codmoe-bench, case by case.
#pragma once

#include <string>
#include <vector>

#include "benchmarks/record.h"

namespace codmoe::bench {

/// One case in both results.
struct Change {
  Record before, after;
  double latency_ratio = 1;                        ///< after / before, of median_ms
  std::optional<double> gpu_ratio = std::nullopt;  ///< the same of gpu_ms
  double noise = 0;                                ///< ratios within 1 -+ noise mean nothing
  bool slower = false, faster = false;
};

/// Relative standard error of a record's median, as of normal samples: 1.25 sigma / sqrt(runs). Sigma is taken from the
/// 95th percentile or the least of about 100 samples (1.645 and 2.5 sigma away), whichever is nearer: interruptions by
/// other work make a few samples slow, and must not hide a regression.
double median_error(const Record& record);

/// Three standard errors of after / before, relative to it: ratios within 1 -+ this mean nothing.
double ratio_error(const Record& before, const Record& after);

/// Pairs the cases that agree in everything but the measurements; cases of one side alone are left out. A change counts
/// beyond three standard errors of both medians together, and beyond 5 %, by which clocks and machines drift.
std::vector<Change> compare(const std::vector<Record>& before, const std::vector<Record>& after);

std::string format_changes(const std::vector<Change>& changes);

}  // namespace codmoe::bench
