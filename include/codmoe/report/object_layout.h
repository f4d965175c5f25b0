// How many objects a mask holds, and where.
#pragma once

#include <ATen/core/Tensor.h>

#include <cstdint>

namespace codmoe::report {

/// Of the mask's objects: its 8-connected regions but for specks, which have less than 1 % of its pixels. Of many
/// specks alone, the largest is the object.
struct ObjectLayout {
  int64_t count = 0;
  bool touches_border = false;  ///< one of them has a pixel in the first or last row or column
  double centre_x = 0;          ///< of their pixels together, in [0, 1] from left to right; 0 without any
  double centre_y = 0;          ///< from top to bottom
};

inline constexpr double least_object = 0.01;  ///< of the mask's pixels

/// @param mask_hw uint8 [H, W], CPU; above 128 is foreground
ObjectLayout object_layout(const at::Tensor& mask_hw);

}  // namespace codmoe::report
