// Samples in one picture as training sees them.
#pragma once

#include <ATen/core/Tensor.h>

#include <cstdint>

#include "codmoe/data/augment.h"
#include "codmoe/data/dataset.h"

namespace codmoe::data {

/// How a sheet is laid out, and which changes it shows.
struct AugmentedSheetOptions {
  int64_t samples = 8;  ///< rows, at most; spread evenly over the set
  int64_t epochs = 5;   ///< columns beside the first
  int64_t size = 352;   ///< side of the samples that are made, pixels
  int64_t cell = 224;   ///< side of what is shown of them, pixels
  uint64_t seed = 0;
};

/// A row a sample: as it is, then as it is changed in epochs 0, 1, ... of a run with this seed; masks are outlined.
/// @return uint8 [H, W, 3], RGB
/// @throws core::Error naming a file that cannot be read, or whose mask has another size.
at::Tensor augmented_sheet(const Dataset& dataset, const AugmentOptions& augment,
                           const AugmentedSheetOptions& options = {});

}  // namespace codmoe::data
