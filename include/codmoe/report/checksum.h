// What was scored, in a few digits: two tables with the same checksums come of the same pixels.
#pragma once

#include <ATen/core/Tensor.h>

#include <cstdint>
#include <string>

#include "codmoe/report/evaluation.h"

namespace codmoe::report {

/// 64-bit hash of size and grey levels; not for use against an adversary. @param image_hw uint8 [H, W], CPU
uint64_t hash_image(const at::Tensor& image_hw);

/// 16 hexadecimal digits each, over the images' names and pixels, in whatever order they were scored.
struct Checksums {
  std::string masks;
  std::string predictions;  ///< of their own size, before they are resized
};

Checksums checksums(const DatasetResult& dataset);

}  // namespace codmoe::report
