#include "warp.h"

#include <algorithm>
#include <cmath>
#include <numbers>
#include <opencv2/imgproc.hpp>

#include "codmoe/data/image_file.h"
#include "mat.h"

namespace codmoe::data {
namespace {

int64_t reduced(int64_t length, double shrink) {
  return std::max<int64_t>(1, std::llround(static_cast<double>(length) / std::max(1.0, std::floor(shrink))));
}

/// Bilinear interpolation reads every source pixel up to a shrink of 2; what shrinks more is averaged first.
at::Tensor reduce(const at::Tensor& image, const Shrink& shrink) {
  const int64_t height = reduced(image.size(0), shrink.y), width = reduced(image.size(1), shrink.x);
  const bool same = height == image.size(0) && width == image.size(1);
  return same ? image.contiguous() : resize(image, height, width, Interpolation::area);
}

/// Photograph and mask as one picture, which costs little more to interpolate than a mask alone.
cv::Mat join(const Sample& sample, const Shrink& shrink) {
  const at::Tensor image = reduce(sample.image, shrink), mask = reduce(sample.mask, shrink);
  cv::Mat joined;
  cv::cvtColor(as_mat(image), joined, cv::COLOR_RGB2RGBA);
  cv::insertChannel(as_mat(mask), joined, 3);
  return joined;
}

Sample split(const cv::Mat& joined) {
  Sample sample{new_image(joined.rows, joined.cols, 3), new_image(joined.rows, joined.cols, 1)};
  cv::Mat image = as_mat(sample.image), mask = as_mat(sample.mask);
  cv::cvtColor(joined, image, cv::COLOR_RGBA2RGB);
  cv::extractChannel(joined, mask, 3);
  return sample;
}

/// `source` is `sample`'s, reduced.
cv::Mat warp(const cv::Mat& source, const Sample& sample, const Geometry& geometry, int64_t size, int border) {
  const auto map = geometry.unmirrored(source.cols / static_cast<double>(sample.mask.size(1)),
                                       source.rows / static_cast<double>(sample.mask.size(0)));
  const auto side = static_cast<int>(size);
  cv::Mat warped;
  cv::warpAffine(source, warped, cv::Matx23d(map.data()), {side, side}, cv::INTER_LINEAR | cv::WARP_INVERSE_MAP,
                 border);
  return warped;
}

Sample warp_both(const Sample& sample, const Geometry& geometry, int64_t size, bool flip, Beyond beyond) {
  cv::Mat warped = warp(join(sample, geometry.shrink()), sample, geometry, size, cv::BORDER_REFLECT);
  if (beyond == Beyond::no_object) {
    const at::Tensor mask = reduce(sample.mask, geometry.shrink());
    cv::insertChannel(warp(as_mat(mask), sample, geometry, size, cv::BORDER_CONSTANT), warped, 3);
  }
  if (flip) cv::flip(warped, warped, 1);
  return split(warped);
}

at::Tensor mirror(const at::Tensor& image) {
  at::Tensor mirrored = at::empty_like(image);
  cv::Mat target = as_mat(mirrored);
  cv::flip(as_mat(image), target, 1);
  return mirrored;
}

}  // namespace

Geometry::Geometry(const Augmentation& augmentation, int64_t height, int64_t width, int64_t size)
    : size_(static_cast<double>(size)), flip_(augmentation.flip) {
  const auto source_height = static_cast<double>(height), source_width = static_cast<double>(width);
  const double angle = augmentation.angle * std::numbers::pi / 180;
  const double step = 1 / (augmentation.zoom * size_);
  cosine_ = std::cos(angle);
  sine_ = std::sin(angle);
  step_x_ = augmentation.width * source_width * step;
  step_y_ = augmentation.height * source_height * step;
  centre_x_ = (augmentation.left + augmentation.width / 2) * source_width;
  centre_y_ = (augmentation.top + augmentation.height / 2) * source_height;
}

Shrink Geometry::shrink() const {
  return {std::hypot(cosine_ * step_x_, sine_ * step_y_), std::hypot(sine_ * step_x_, cosine_ * step_y_)};
}

AffineMap Geometry::unmirrored(double ratio_x, double ratio_y) const {
  const double half = size_ / 2 - 0.5;
  const double xx = cosine_ * step_x_ * ratio_x, xy = -sine_ * step_y_ * ratio_x;
  const double yx = sine_ * step_x_ * ratio_y, yy = cosine_ * step_y_ * ratio_y;
  return {xx, xy, centre_x_ * ratio_x - 0.5 - (xx + xy) * half,  //
          yx, yy, centre_y_ * ratio_y - 0.5 - (yx + yy) * half};
}

AffineMap Geometry::map() const {
  AffineMap values = unmirrored();
  if (!flip_) return values;
  for (const std::size_t row : {0, 3}) {
    values[row + 2] += values[row] * (size_ - 1);
    values[row] = -values[row];
  }
  return values;
}

Sample resample(const Sample& sample, int64_t size, const Augmentation& augmentation, Beyond beyond) {
  Augmentation unmirrored = augmentation;
  unmirrored.flip = false;
  if (unmirrored.moves()) {
    const Geometry geometry(augmentation, sample.mask.size(0), sample.mask.size(1), size);
    return warp_both(sample, geometry, size, augmentation.flip, beyond);
  }
  const Sample square{resize(sample.image, size, size, Interpolation::area),
                      resize(sample.mask, size, size, Interpolation::area)};
  return augmentation.flip ? Sample{mirror(square.image), mirror(square.mask)} : square;
}

Augmentation placement_of(const Pasting& paste) {
  return {.flip = paste.flip,
          .angle = paste.angle,
          .zoom = paste.zoom,
          .left = -paste.right / paste.zoom,
          .top = -paste.down / paste.zoom};
}

}  // namespace codmoe::data
