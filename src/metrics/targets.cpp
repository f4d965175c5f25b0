#include "targets.h"

#include <ATen/ATen.h>

#include <algorithm>
#include <opencv2/imgproc.hpp>

namespace codmoe::metrics {

std::vector<TargetBox> find_targets(const ImagePair& pair) {
  // OpenCV has no type for read-only data; it does not write to its input.
  const cv::Mat mask(static_cast<int>(pair.height), static_cast<int>(pair.width), CV_8U,
                     const_cast<uint8_t*>(pair.mask_hw.const_data_ptr<uint8_t>()));
  cv::Mat labels;
  cv::Mat stats;
  cv::Mat centroids;
  const int parts = cv::connectedComponentsWithStats(mask, labels, stats, centroids, 4);
  int enough = 0;
  for (int k = 1; k < parts; ++k) enough = std::max(enough, stats.at<int>(k, cv::CC_STAT_AREA));
  enough = std::min(enough, 50);
  std::vector<TargetBox> targets;
  for (int k = 1; k < parts; ++k) {
    const int* part = stats.ptr<int>(k);
    if (part[cv::CC_STAT_AREA] < enough) continue;
    targets.push_back({part[cv::CC_STAT_TOP], part[cv::CC_STAT_TOP] + part[cv::CC_STAT_HEIGHT], part[cv::CC_STAT_LEFT],
                       part[cv::CC_STAT_LEFT] + part[cv::CC_STAT_WIDTH]});
  }
  return targets;
}

LevelCounts count_within(const ImagePair& pair, const TargetBox& box) {
  LevelCounts levels{};
  const auto* pred = pair.pred_hw.const_data_ptr<uint8_t>();
  const auto* mask = pair.mask_hw.const_data_ptr<uint8_t>();
  for (int64_t i = box.top; i < box.bottom; ++i) {
    for (int64_t k = i * pair.width + box.left; k < i * pair.width + box.right; ++k) ++levels[mask[k]][pred[k]];
  }
  return levels;
}

}  // namespace codmoe::metrics
