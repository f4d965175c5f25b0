// Augmentation pixel by pixel in float64, from its definition: the oracle of both the CPU's and the GPU's.
#pragma once

#include <ATen/ATen.h>

#include <algorithm>
#include <array>
#include <cmath>
#include <numbers>

#include "codmoe/data/augment.h"

namespace codmoe::data {

/// Random bits in 64-bit arithmetic, reduced to 32 bits at each step.
inline uint64_t plain_mix(uint64_t x) {
  constexpr uint64_t words = uint64_t{1} << 32;
  x = (x ^ x / 65536) * 0x7feb352d % words;
  x = (x ^ x / 32768) * 0x846ca68b % words;
  return x ^ x / 65536;
}
inline uint64_t plain_noise(uint64_t seed, uint64_t counter) {
  constexpr uint64_t words = uint64_t{1} << 32;
  return plain_mix(plain_mix((counter + seed) % words) ^ seed / words);
}

class PlainAugment {
 public:
  PlainAugment(const Sample& sample, int64_t size, const Augmentation& drawn, const Sample* donor = nullptr)
      : drawn_(drawn), size_(size) {
    image_ = at::empty({size, size, 3}, at::kDouble);
    mask_ = at::empty({size, size}, at::kDouble);
    resample(sample, drawn, /*mirror_mask=*/true, image_, mask_);
    if (drawn.paste) paste(*donor);
    if (drawn.sharpness != 1) sharpen();
    recolour_and_erase();
    finish_mask();
  }
  at::Tensor image() const { return image_.to(at::kByte); }
  at::Tensor mask() const { return mask_.to(at::kByte); }

 private:
  static double byte(double value) { return std::nearbyint(std::clamp(value, 0.0, 255.0)); }
  static int64_t mirrored(int64_t i, int64_t count) {
    while (i < 0 || i >= count) i = i < 0 ? -1 - i : 2 * count - 1 - i;
    return i;
  }

  /// From parts of the picture to the source: mirrored, stretched to what is kept, turned, moved to its centre.
  void resample(const Sample& sample, const Augmentation& how, bool mirror_mask, at::Tensor& image,
                at::Tensor& mask) const {
    const auto height = static_cast<double>(sample.mask.size(0)), width = static_cast<double>(sample.mask.size(1));
    const double angle = how.angle * std::numbers::pi / 180, cosine = std::cos(angle), sine = std::sin(angle);
    const double stretch_x = how.width * width / how.zoom, stretch_y = how.height * height / how.zoom;
    const double side = static_cast<double>(size_);
    const double shrink =
        std::max(std::hypot(cosine * stretch_x, sine * stretch_y), std::hypot(sine * stretch_x, cosine * stretch_y)) /
        side;
    const int taps = std::max(1, static_cast<int>(shrink));
    for (int64_t pixel = 0; pixel < size_ * size_; ++pixel) {
      std::array<double, 4> sum{};
      for (int tap = 0; tap < taps * taps; ++tap) {
        const double in_x = (tap % taps + 0.5) / taps, in_y = (std::floor(tap / taps) + 0.5) / taps;
        double part_x = (static_cast<double>(pixel % size_) + in_x) / side - 0.5;
        const double part_y = (std::floor(pixel / size_) + in_y) / side - 0.5;
        if (how.flip) part_x = -part_x;
        const double u = part_x * stretch_x, v = part_y * stretch_y;
        add(sample, (how.left + how.width / 2) * width + cosine * u - sine * v - 0.5,
            (how.top + how.height / 2) * height + sine * u + cosine * v - 0.5, mirror_mask, sum);
      }
      for (std::size_t c = 0; c < 3; ++c) {
        image.data_ptr<double>()[3 * pixel + static_cast<int64_t>(c)] = byte(sum[c] / (taps * taps));
      }
      mask.data_ptr<double>()[pixel] = byte(sum[3] / (taps * taps));
    }
  }

  static void add(const Sample& sample, double x, double y, bool mirror_mask, std::array<double, 4>& sum) {
    const int64_t height = sample.mask.size(0), width = sample.mask.size(1);
    for (const int64_t row : {static_cast<int64_t>(std::floor(y)), static_cast<int64_t>(std::floor(y)) + 1}) {
      for (const int64_t column : {static_cast<int64_t>(std::floor(x)), static_cast<int64_t>(std::floor(x)) + 1}) {
        const double weight =
            (1 - std::abs(y - static_cast<double>(row))) * (1 - std::abs(x - static_cast<double>(column)));
        const int64_t at = mirrored(row, height) * width + mirrored(column, width);
        for (std::size_t c = 0; c < 3; ++c) {
          sum[c] += weight * sample.image.const_data_ptr<uint8_t>()[3 * at + static_cast<int64_t>(c)];
        }
        const bool inside = row >= 0 && row < height && column >= 0 && column < width;
        if (inside || mirror_mask) sum[3] += weight * sample.mask.const_data_ptr<uint8_t>()[at];
      }
    }
  }

  void paste(const Sample& donor) {
    const Pasting& how = *drawn_.paste;
    Augmentation placement{.flip = how.flip, .angle = how.angle, .zoom = how.zoom};
    placement.left = -how.right / how.zoom;
    placement.top = -how.down / how.zoom;
    at::Tensor over = at::empty_like(image_), level = at::empty_like(mask_);
    resample(donor, placement, /*mirror_mask=*/false, over, level);
    const auto part = (level / 255).unsqueeze(2);
    image_ = at::floor(over * part + image_ * (1 - part) + 0.5 - 1e-9);
    mask_ = at::maximum(mask_, level);
  }

  void sharpen() {
    const at::Tensor before = image_.clone();
    for (int64_t y = 0; y < size_; ++y) {
      for (int64_t x = 0; x < size_; ++x) {
        at::Tensor sum = 4 * before[y][x];
        for (int64_t dy = -1; dy <= 1; ++dy) {
          for (int64_t dx = -1; dx <= 1; ++dx) {
            sum = sum + before[std::clamp<int64_t>(y + dy, 0, size_ - 1)][std::clamp<int64_t>(x + dx, 0, size_ - 1)];
          }
        }
        const at::Tensor smooth = at::round(sum / 13);
        image_[y][x] = at::round((smooth + drawn_.sharpness * (before[y][x] - smooth)).clamp(0, 255));
      }
    }
  }

  /// As Pillow's ImageEnhance does it, one after the other, but without rounding between.
  at::Tensor recoloured(const at::Tensor& rgb, const at::Tensor& mean) const {
    const auto luma = at::tensor({0.299, 0.587, 0.114}, at::kDouble);
    const auto grey = (rgb * luma).sum(-1, true), mean_grey = (mean * luma).sum();
    const auto saturated = grey + drawn_.saturation * (rgb - grey);
    return at::round((drawn_.brightness * (mean_grey + drawn_.contrast * (saturated - mean_grey))).clamp(0, 255));
  }

  void recolour_and_erase() {
    const auto mean = image_.mean(at::IntArrayRef({0, 1}));
    image_ = recoloured(image_, mean);
    if (!drawn_.erase) return;
    const auto fill = recoloured(mean, mean);
    const auto edge = [this](double part) { return std::lround(part * static_cast<double>(size_)); };
    for (int64_t y = edge(drawn_.erase->top); y < edge(drawn_.erase->top + drawn_.erase->height); ++y) {
      for (int64_t x = edge(drawn_.erase->left); x < edge(drawn_.erase->left + drawn_.erase->width); ++x) {
        for (int64_t c = 0; c < 3; ++c) {
          const auto counter = (uint64_t{1} << 31) + static_cast<uint64_t>(3 * (y * size_ + x) + c);
          const auto noise = static_cast<double>(plain_noise(drawn_.noise_seed, counter) >> 24);
          image_[y][x][c] = drawn_.erase->fill == EraseFill::noise ? noise : fill[c].item<double>();
        }
      }
    }
  }

  void finish_mask() {
    if (drawn_.binary_mask) mask_ = (mask_ > 127.5) * 255.0;
    mask_ = mask_.to(at::kDouble).contiguous();
    for (int64_t i = 0; i < mask_.numel(); ++i) {
      const uint64_t bits = plain_noise(drawn_.noise_seed, static_cast<uint64_t>(i));
      if (static_cast<double>(bits) < drawn_.salt_pepper * 4294967295.0) mask_.data_ptr<double>()[i] = bits % 2 * 255.0;
    }
  }

  const Augmentation drawn_;
  const int64_t size_;
  at::Tensor image_, mask_;
};

}  // namespace codmoe::data
