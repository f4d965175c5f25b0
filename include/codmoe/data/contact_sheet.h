// Samples of a dataset in one picture.
#pragma once

#include <ATen/core/Tensor.h>

#include "codmoe/data/dataset.h"

namespace codmoe::data {

/// How a sheet is laid out.
struct ContactSheetOptions {
  int64_t samples = 24;  ///< the most; spread evenly over the set
  int64_t columns = 4;   ///< samples side by side
  int64_t cell = 160;    ///< side of the square that a photograph or a mask is fitted into, pixels
};

/// Each sample is its photograph and, to the right, the same with what the mask leaves out dimmed.
/// @return uint8 [H, W, 3], RGB
/// @throws core::Error naming a file that cannot be read, or whose mask has another size.
at::Tensor contact_sheet(const Dataset& dataset, const ContactSheetOptions& options = {});

}  // namespace codmoe::data
