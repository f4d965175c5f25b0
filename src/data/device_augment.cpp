#include "device_augment.h"

#include <ATen/ATen.h>

#include <algorithm>
#include <array>

#include "codmoe/ops/augment.h"

namespace codmoe::data {

namespace {

void write_changes(const Augmentation& drawn, int64_t height, int64_t width, int64_t size, float* to) {
  const auto map = target_to_source(drawn, height, width, size);
  for (std::size_t i = 0; i < map.size(); ++i) to[ops::kAugmentMap + i] = static_cast<float>(map[i]);
  to[ops::kAugmentSharpness] = static_cast<float>(drawn.sharpness);
  to[ops::kAugmentSaturation] = static_cast<float>(drawn.saturation);
  to[ops::kAugmentContrast] = static_cast<float>(drawn.contrast);
  to[ops::kAugmentBrightness] = static_cast<float>(drawn.brightness);
}

}  // namespace

at::Tensor new_places(int64_t rows, bool pinned) {
  return at::empty({rows, 4}, at::TensorOptions(at::kLong).pinned_memory(pinned));
}

at::Tensor new_changes(int64_t rows, bool pinned) {
  return at::empty({rows, ops::kAugmentColumns}, at::TensorOptions(at::kFloat).pinned_memory(pinned));
}

void write_row(const Place& place, const Augmentation& drawn, int64_t size, int64_t row, at::Tensor& places_b4,
               at::Tensor& changes_bp) {
  const std::array values{place.image, place.mask, place.height, place.width};
  std::copy(values.begin(), values.end(), places_b4.mutable_data_ptr<int64_t>() + 4 * row);
  write_changes(drawn, place.height, place.width, size,
                changes_bp.mutable_data_ptr<float>() + row * ops::kAugmentColumns);
}

Batch make_on_device(const at::Tensor& pixels, const at::Tensor& places_b4, const at::Tensor& changes_bp,
                     int64_t size) {
  auto made = ops::augment(pixels, places_b4, changes_bp, size);
  return {std::move(made.images), std::move(made.masks), {}};
}

}  // namespace codmoe::data
