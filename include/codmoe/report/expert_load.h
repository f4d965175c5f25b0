// The load of a model's experts on a dataset.
#pragma once

#include <string>
#include <vector>

#include "codmoe/report/evaluation.h"

namespace codmoe::report {

/// Mean over a group of images.
struct ExpertLoad {
  std::string group;         ///< "all", or the name of an ObjectSize
  int64_t n = 0;             ///< images of the group, at least 1
  std::vector<double> load;  ///< by expert: its share of what the router chose for an image; sum 1
};

/// Of all images, then of each size of object that occurs. Empty where no image has an ExpertUse.
/// @param layer place in Evaluation::layers()
std::vector<ExpertLoad> expert_loads(const DatasetResult& dataset, std::size_t layer);

}  // namespace codmoe::report
