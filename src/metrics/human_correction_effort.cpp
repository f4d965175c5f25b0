#include "codmoe/metrics/human_correction_effort.h"

#include <ATen/ATen.h>

#include <algorithm>
#include <cstdlib>
#include <numeric>
#include <opencv2/imgproc.hpp>
#include <vector>

#include "control_points.h"
#include "skeleton.h"

namespace codmoe::metrics {
namespace {

constexpr int relaxed_pixels = 5;

using Boundary = std::vector<cv::Point>;

cv::Mat cross() { return cv::getStructuringElement(cv::MORPH_CROSS, {3, 3}); }

// Grows `seeds`, a pixel at a time, without entering `barrier`; what of it is in `region`. Masks are of 0 and 1.
cv::Mat regrown(const cv::Mat& seeds, const cv::Mat& barrier, const cv::Mat& region) {
  const cv::Mat free = 1 - barrier;
  cv::Mat grown = seeds & region;
  for (int i = 0; i < relaxed_pixels; ++i) {
    cv::dilate(grown, grown, cross());
    grown &= free;
  }
  return grown & region;
}

// Whether the two pixels touch, corners included.
bool adjacent(const cv::Point& a, const cv::Point& b) {
  return a != b && std::abs(a.x - b.x) <= 1 && std::abs(a.y - b.y) <= 1;
}

// Outlines of wrong regions, where they border on what they are to be told from.
class Boundaries {
 public:
  Boundaries(const cv::Mat& wrong, const cv::Mat& other) : visited_(wrong.size(), CV_8U, cv::Scalar(0)) {
    cv::dilate(other, near_, cross());
    alone_.assign(static_cast<std::size_t>(cv::connectedComponents(wrong, labels_, 8)), 1);
    alone_[0] = 0;
    std::vector<Boundary> contours;
    cv::findContours(wrong, contours, cv::RETR_TREE, cv::CHAIN_APPROX_NONE);
    for (const Boundary& contour : contours) add(contour);
  }

  /// Control points, and regions without a border to anything.
  int64_t effort() const {
    int64_t points = 0;
    for (const Boundary& boundary : boundaries_) {
      std::vector<ContourPoint> curve;
      for (const cv::Point& point : boundary) curve.push_back({point.x, point.y});
      points += control_points(curve);
    }
    return points + std::accumulate(alone_.begin(), alone_.end(), int64_t{0});
  }

 private:
  bool take(const cv::Point& point) {
    if (near_.at<uint8_t>(point) == 0 || visited_.at<uint8_t>(point) != 0) return false;
    visited_.at<uint8_t>(point) = 1;
    alone_[static_cast<std::size_t>(labels_.at<int>(point))] = 0;
    return true;
  }

  void add(const Boundary& contour) {
    std::vector<Boundary> pieces(1);
    for (const cv::Point& point : contour) {
      if (take(point)) {
        pieces.back().push_back(point);
      } else if (!pieces.back().empty()) {
        pieces.emplace_back();
      }
    }
    if (pieces.back().empty()) pieces.pop_back();
    // A contour that was cut at its start. As in the reference, the first piece is appended backwards.
    if (pieces.size() > 1 && adjacent(pieces.front().front(), pieces.back().back())) {
      pieces.back().insert(pieces.back().end(), pieces.front().rbegin(), pieces.front().rend());
      pieces.erase(pieces.begin());
    }
    boundaries_.insert(boundaries_.end(), pieces.begin(), pieces.end());
  }

  cv::Mat near_;
  cv::Mat labels_;
  cv::Mat visited_;
  std::vector<int> alone_;  // by label
  std::vector<Boundary> boundaries_;
};

}  // namespace

double human_correction_effort(const ImagePair& pair) {
  const auto height = static_cast<int>(pair.height);
  const auto width = static_cast<int>(pair.width);
  const auto* levels = pair.pred_hw.const_data_ptr<uint8_t>();
  const auto* mask_data = pair.mask_hw.const_data_ptr<uint8_t>();
  // OpenCV has no type for read-only data; it is not written to.
  const cv::Mat mask(height, width, CV_8U, const_cast<uint8_t*>(mask_data));
  cv::Mat pred(height, width, CV_8U);
  std::transform(levels, levels + pair.size(), pred.ptr<uint8_t>(),
                 [&](uint8_t level) { return static_cast<uint8_t>(pair.value[level] > 0.5); });
  std::vector<uint8_t> thin = skeleton(mask_data, pair.height, pair.width);
  const cv::Mat bones(height, width, CV_8U, thin.data());
  const cv::Mat hits = mask & pred;
  const cv::Mat extra = pred - hits;
  const cv::Mat missed = mask - hits;
  cv::Mat inner;
  cv::erode(mask | pred, inner, cross(), {-1, -1}, relaxed_pixels);
  const cv::Mat wrong_extra = regrown(inner, mask, extra);
  const cv::Mat wrong_missed = regrown(inner, pred, missed) | (bones & missed);
  const Boundaries to_erase(wrong_extra, hits | wrong_missed);
  const Boundaries to_add(wrong_missed, 1 - (hits | wrong_extra | wrong_missed));
  return static_cast<double>(to_erase.effort() + to_add.effort());
}

}  // namespace codmoe::metrics
