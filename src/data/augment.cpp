#include "codmoe/data/augment.h"

#include <ATen/ATen.h>

#include <algorithm>
#include <array>
#include <cmath>
#include <opencv2/imgproc.hpp>

#include "codmoe/data/augment_row.h"
#include "codmoe/ops/augment_pixel.h"
#include "mat.h"
#include "warp.h"

namespace codmoe::data {
namespace {

/// As Pillow's ImageEnhance.Sharpness: away from (above 1) or towards (below 1) a 3x3 smoothing (1 1 1; 1 5 1; 1 1 1) /
/// 13, which is 9 parts of the mean over the window and 4 of the pixel.
void sharpen(cv::Mat& image, double factor) {
  cv::Mat mean;
  cv::blur(image, mean, {3, 3}, {-1, -1}, cv::BORDER_REPLICATE);
  cv::addWeighted(image, factor + (1 - factor) * 4 / 13, mean, (1 - factor) * 9 / 13, 0, image);
}

/// Saturation, contrast and brightness are linear in the pixel: one matrix does all three without rounding between.
cv::Matx34f colour_map(const Augmentation& augmentation, const cv::Scalar& mean) {
  constexpr std::array<double, 3> luma{0.299, 0.587, 0.114};
  const double grey = luma[0] * mean[0] + luma[1] * mean[1] + luma[2] * mean[2];
  const double gain = augmentation.brightness * augmentation.contrast;
  cv::Matx34f map;
  for (int to = 0; to < 3; ++to) {
    for (int from = 0; from < 3; ++from) {
      const double own = to == from ? augmentation.saturation : 0.0;
      map(to, from) =
          static_cast<float>(gain * (own + (1 - augmentation.saturation) * luma[static_cast<std::size_t>(from)]));
    }
    map(to, 3) = static_cast<float>(augmentation.brightness * (1 - augmentation.contrast) * grey);
  }
  return map;
}

void fill_noise(cv::Mat& image, const cv::Rect& place, uint64_t seed) {
  for (int y = place.y; y < place.br().y; ++y) {
    auto* pixel = image.ptr<cv::Vec3b>(y);
    for (int x = place.x; x < place.br().x; ++x) {
      for (int c = 0; c < 3; ++c) {
        pixel[x][c] = ops::erasing_noise(seed, static_cast<uint32_t>(y * image.cols + x), static_cast<uint32_t>(c));
      }
    }
  }
}

/// Fills with noise, or with what `map` makes of the mean colour.
void erase(cv::Mat& image, const Augmentation& augmentation, const cv::Scalar& mean, const cv::Matx34f& map) {
  const auto pixels = erased_pixels(*augmentation.erase, image.rows);
  const cv::Rect place({pixels.left, pixels.top}, cv::Point(pixels.right, pixels.bottom));
  if (augmentation.erase->fill == EraseFill::noise) return fill_noise(image, place, augmentation.noise_seed);
  const cv::Vec3f fill =
      map * cv::Vec4f(static_cast<float>(mean[0]), static_cast<float>(mean[1]), static_cast<float>(mean[2]), 1.0F);
  image(place).setTo(cv::Scalar(fill[0], fill[1], fill[2]));
}

void change_photograph(cv::Mat image, const Augmentation& augmentation) {
  if (!augmentation.colours() && !augmentation.erase) return;
  if (augmentation.sharpness != 1.0) sharpen(image, augmentation.sharpness);
  const cv::Scalar mean = cv::mean(image);
  const auto map = colour_map(augmentation, mean);
  if (augmentation.colours()) cv::transform(image, image, map);
  if (augmentation.erase) erase(image, augmentation, mean, map);
}

void paste(const Sample& donor, const Pasting& pasting, Sample& sample) {
  const int64_t size = sample.mask.size(0);
  const Sample lent = resample(donor, size, placement_of(pasting), Beyond::no_object);
  const auto *over = lent.image.const_data_ptr<uint8_t>(), *level = lent.mask.const_data_ptr<uint8_t>();
  auto *under = sample.image.mutable_data_ptr<uint8_t>(), *kept = sample.mask.mutable_data_ptr<uint8_t>();
  for (int64_t i = 0; i < size * size; ++i) {
    if (level[i] == 0) continue;
    for (int64_t c = 3 * i; c < 3 * i + 3; ++c) under[c] = ops::covered(under[c], over[c], level[i]);
    kept[i] = std::max(kept[i], level[i]);
  }
}

void finish_mask(at::Tensor& mask, const Augmentation& augmentation) {
  const uint32_t salt_pepper = salt_pepper_share(augmentation.salt_pepper);
  if (!augmentation.binary_mask && salt_pepper == 0) return;
  auto* value = mask.mutable_data_ptr<uint8_t>();
  for (int64_t i = 0; i < mask.numel(); ++i) {
    value[i] = ops::finished_mask(value[i], augmentation.binary_mask, salt_pepper, augmentation.noise_seed,
                                  static_cast<uint32_t>(i));
  }
}

void check_sizes(const Sample& sample) {
  TORCH_CHECK(sample.image.dim() == 3 && sample.mask.dim() == 2 && sample.image.size(0) == sample.mask.size(0) &&
                  sample.image.size(1) == sample.mask.size(1),
              "augmentation: image ", sample.image.sizes(), " and mask ", sample.mask.sizes(), " must be of one size");
}

}  // namespace

Sample apply_augmentation(const Sample& sample, int64_t size, const Augmentation& augmentation, const Sample* donor) {
  check_sizes(sample);
  Sample changed = resample(sample, size, augmentation);
  if (augmentation.paste) {
    TORCH_CHECK(donor != nullptr, "augmentation: an object is to be pasted, and there is no donor");
    check_sizes(*donor);
    paste(*donor, *augmentation.paste, changed);
  }
  change_photograph(as_mat(changed.image), augmentation);
  finish_mask(changed.mask, augmentation);
  return changed;
}

}  // namespace codmoe::data
