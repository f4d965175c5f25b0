// Whether one run scores higher than another on the same images, or by chance.
#pragma once

#include <filesystem>
#include <span>
#include <string>
#include <vector>

#include "codmoe/report/evaluation.h"
#include "codmoe/report/intervals.h"

namespace codmoe::report {

/// A score of a run beside that of another, both means over the images in which both are defined.
struct PairedDifference {
  std::string run;
  std::string dataset;
  std::string score;  ///< name of a headline column, but no maximum of the mean curve: that is no mean over images
  std::size_t n = 0;
  double mean = 0;
  double other_mean = 0;
  Interval difference;  ///< bootstrap over images of the mean of the images' differences; 0 and 0 where n is 0
  double p = 1;         ///< two-sided, by changing signs of the images' differences 9999 times at random
};

/// Tests each run against the one whose scores write_csv wrote to `csv`. The same images must stand in both.
/// @throws core::Error where the file cannot be read or lacks a column, holds several runs, an image twice, or other
///   images than the datasets, which are named
std::vector<PairedDifference> compare_with(const std::filesystem::path& csv, std::span<const Evaluation> runs);

/// A table for a terminal.
std::string format_differences(const std::filesystem::path& csv, const std::vector<PairedDifference>& differences);

}  // namespace codmoe::report
