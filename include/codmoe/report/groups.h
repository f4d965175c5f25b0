// Scores by what is hard about an image.
#pragma once

#include <string>
#include <string_view>
#include <vector>

#include "codmoe/report/evaluation.h"

namespace codmoe::report {

/// A way to part images by their mask. COD10K's attributes (Fan et al., Camouflaged Object Detection, CVPR 2020) are
/// among the groups: small and big object, multiple objects (two, three or more), out of view (at the border).
struct Grouping {
  std::string_view name;                 ///< "size", "objects", "location"
  std::vector<std::string_view> groups;  ///< in the order of tables
  std::size_t (*group_of)(const ImageResult&);
  std::string convention;  ///< what the groups are, for a reader
};

const std::vector<Grouping>& groupings();

/// The scores of a group's images, as if they were a dataset.
struct GroupScores {
  std::string_view grouping;
  std::string_view group;
  metrics::Summary summary;  ///< of at least one image
};

/// Of the groups that occur, in the order of groupings().
std::vector<GroupScores> scores_by_group(const DatasetResult& dataset);

}  // namespace codmoe::report
