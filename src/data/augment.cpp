#include "codmoe/data/augment.h"

#include <ATen/ATen.h>

#include <algorithm>
#include <array>
#include <cmath>
#include <numbers>
#include <opencv2/imgproc.hpp>

#include "codmoe/data/image_file.h"
#include "codmoe/data/random.h"
#include "mat.h"

namespace codmoe::data {
namespace {

double draw_factor(Random& random, double spread) { return std::max(0.0, random.uniform(1.0 - spread, 1.0 + spread)); }

/// Source pixels a step of one target pixel, along the source's axes.
struct Shrink {
  double x;
  double y;
};

/// The affine map of one augmentation without its mirror image, in pixels whose corners are at whole numbers.
struct Geometry {
  double cosine, sine;
  double step_x, step_y;      ///< source pixels a target pixel, before the rotation
  double centre_x, centre_y;  ///< what the target's centre shows

  Shrink shrink() const {
    return {std::hypot(cosine * step_x, sine * step_y), std::hypot(sine * step_x, cosine * step_y)};
  }

  /// For cv::warpAffine, where pixel centres are at whole numbers; the source is scaled by these ratios already.
  cv::Matx23d target_to_source(double size, double ratio_x, double ratio_y) const {
    const double half = size / 2 - 0.5;
    const double xx = cosine * step_x * ratio_x, xy = -sine * step_y * ratio_x;
    const double yx = sine * step_x * ratio_y, yy = cosine * step_y * ratio_y;
    return {xx, xy, centre_x * ratio_x - 0.5 - (xx + xy) * half,  //
            yx, yy, centre_y * ratio_y - 0.5 - (yx + yy) * half};
  }
};

Geometry make_geometry(const Augmentation& augmentation, double height, double width, int64_t size) {
  const double angle = augmentation.angle * std::numbers::pi / 180;
  const double step = 1 / (augmentation.zoom * static_cast<double>(size));
  return {.cosine = std::cos(angle),
          .sine = std::sin(angle),
          .step_x = augmentation.width * width * step,
          .step_y = augmentation.height * height * step,
          .centre_x = (augmentation.left + augmentation.width / 2) * width,
          .centre_y = (augmentation.top + augmentation.height / 2) * height};
}

int64_t reduced(int64_t length, double shrink) {
  return std::max<int64_t>(1, std::llround(static_cast<double>(length) / std::max(1.0, std::floor(shrink))));
}

/// Bilinear interpolation reads every source pixel up to a shrink of 2; what shrinks more is averaged first.
at::Tensor warp(const at::Tensor& image, const Geometry& geometry, int64_t size) {
  const Shrink shrink = geometry.shrink();
  const int64_t height = reduced(image.size(0), shrink.y), width = reduced(image.size(1), shrink.x);
  const bool same = height == image.size(0) && width == image.size(1);
  const at::Tensor source = same ? image.contiguous() : resize(image, height, width, Interpolation::area);
  at::Tensor warped = new_image(size, size, image.dim() == 2 ? 1 : 3);
  cv::Mat target = as_mat(warped);
  const auto map = geometry.target_to_source(static_cast<double>(size),
                                             static_cast<double>(width) / static_cast<double>(image.size(1)),
                                             static_cast<double>(height) / static_cast<double>(image.size(0)));
  cv::warpAffine(as_mat(source), target, map, target.size(), cv::INTER_LINEAR | cv::WARP_INVERSE_MAP,
                 cv::BORDER_REFLECT);
  return warped;
}

at::Tensor resample(const at::Tensor& image, int64_t size, const Augmentation& augmentation) {
  Augmentation unmirrored = augmentation;
  unmirrored.flip = false;
  const auto height = static_cast<double>(image.size(0)), width = static_cast<double>(image.size(1));
  at::Tensor square = unmirrored.moves() ? warp(image, make_geometry(augmentation, height, width, size), size)
                                         : resize(image, size, size, Interpolation::area);
  if (augmentation.flip) {
    cv::Mat view = as_mat(square);
    cv::flip(view, view, 1);
  }
  return square;
}

/// As Pillow's ImageEnhance.Sharpness: away from (above 1) or towards (below 1) a 3x3 smoothing (1 1 1; 1 5 1; 1 1 1) /
/// 13, which is 9 parts of the mean over the window and 4 of the pixel.
void sharpen(cv::Mat& image, double factor) {
  cv::Mat mean;
  cv::blur(image, mean, {3, 3}, {-1, -1}, cv::BORDER_REPLICATE);
  cv::addWeighted(image, factor + (1 - factor) * 4 / 13, mean, (1 - factor) * 9 / 13, 0, image);
}

constexpr std::array<double, 3> luma{0.299, 0.587, 0.114};

double mean_luma(const cv::Mat& image) {
  const cv::Scalar mean = cv::mean(image);
  return luma[0] * mean[0] + luma[1] * mean[1] + luma[2] * mean[2];
}

/// Saturation, contrast and brightness are linear in the pixel: one matrix does all three without rounding between.
void recolour(cv::Mat& image, const Augmentation& augmentation) {
  const double gain = augmentation.brightness * augmentation.contrast;
  const double offset = augmentation.brightness * (1 - augmentation.contrast) * mean_luma(image);
  cv::Matx34f map;
  for (int to = 0; to < 3; ++to) {
    for (int from = 0; from < 3; ++from) {
      const double own = to == from ? augmentation.saturation : 0.0;
      map(to, from) =
          static_cast<float>(gain * (own + (1 - augmentation.saturation) * luma[static_cast<std::size_t>(from)]));
    }
    map(to, 3) = static_cast<float>(offset);
  }
  cv::transform(image, image, map);
}

}  // namespace

Augmentation draw_augmentation(const AugmentOptions& options, uint64_t seed) {
  Augmentation drawn;
  if (!options.enabled) return drawn;
  Random random(seed);
  drawn.flip = random.chance(options.flip);
  drawn.angle = random.uniform(-options.rotate, options.rotate);
  drawn.zoom = std::pow(1 + options.scale, random.uniform(-1, 1));
  drawn.width = 1 - random.uniform(0, options.crop);
  drawn.height = 1 - random.uniform(0, options.crop);
  drawn.left = random.uniform(0, 1 - drawn.width);
  drawn.top = random.uniform(0, 1 - drawn.height);
  drawn.brightness = draw_factor(random, options.brightness);
  drawn.contrast = draw_factor(random, options.contrast);
  drawn.saturation = draw_factor(random, options.saturation);
  drawn.sharpness = draw_factor(random, options.sharpness);
  return drawn;
}

AffineMap target_to_source(const Augmentation& augmentation, int64_t height, int64_t width, int64_t size) {
  const auto geometry = make_geometry(augmentation, static_cast<double>(height), static_cast<double>(width), size);
  const auto map = geometry.target_to_source(static_cast<double>(size), 1.0, 1.0);
  AffineMap values{map(0, 0), map(0, 1), map(0, 2), map(1, 0), map(1, 1), map(1, 2)};
  if (!augmentation.flip) return values;
  for (const std::size_t row : {0, 3}) {
    values[row + 2] += values[row] * static_cast<double>(size - 1);
    values[row] = -values[row];
  }
  return values;
}

Sample apply_augmentation(const Sample& sample, int64_t size, const Augmentation& augmentation) {
  TORCH_CHECK(sample.image.dim() == 3 && sample.mask.dim() == 2 && sample.image.size(0) == sample.mask.size(0) &&
                  sample.image.size(1) == sample.mask.size(1),
              "augmentation: image ", sample.image.sizes(), " and mask ", sample.mask.sizes(), " must be of one size");
  Sample changed{resample(sample.image, size, augmentation), resample(sample.mask, size, augmentation)};
  if (augmentation.colours()) {
    cv::Mat image = as_mat(changed.image);
    if (augmentation.sharpness != 1.0) sharpen(image, augmentation.sharpness);
    recolour(image, augmentation);
  }
  return changed;
}

}  // namespace codmoe::data
