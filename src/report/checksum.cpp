#include "codmoe/report/checksum.h"

#include <ATen/ATen.h>
#include <fmt/format.h>

#include <algorithm>
#include <vector>

#include "codmoe/core/hash.h"

namespace codmoe::report {
namespace {

std::string digits(const std::vector<const ImageResult*>& images, uint64_t ImageResult::*hash_of) {
  core::Hash hash;
  for (const ImageResult* image : images) {
    hash.add(image->item.name.data(), image->item.name.size());
    hash.add(image->*hash_of);
  }
  return fmt::format("{:016x}", hash.value());
}

}  // namespace

uint64_t hash_image(const at::Tensor& image_hw) {
  const at::Tensor image = image_hw.contiguous();
  core::Hash hash;
  hash.add(static_cast<uint64_t>(image.size(0)));
  hash.add(image.const_data_ptr<uint8_t>(), static_cast<std::size_t>(image.numel()));
  return hash.value();
}

Checksums checksums(const DatasetResult& dataset) {
  std::vector<const ImageResult*> images;
  for (const ImageResult& image : dataset.images()) images.push_back(&image);
  std::ranges::stable_sort(images, {}, [](const ImageResult* image) { return image->item.name; });
  return {digits(images, &ImageResult::mask_hash), digits(images, &ImageResult::pred_hash)};
}

}  // namespace codmoe::report
