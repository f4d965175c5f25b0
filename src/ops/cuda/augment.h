// Resampling and recolouring of bytes.
#pragma once

#include <cuda_runtime.h>

#include <cstdint>

#include "codmoe/ops/augment_row.h"

namespace codmoe::ops::cuda {

struct AugmentTask {
  int64_t batch, size;
  const uint8_t* pixels;
  const AugmentRow* rows;       ///< [batch]
  uint8_t *warped, *sharpened;  ///< [batch, size, size, 3], scratch
  int64_t* sums;                ///< [batch, 3], zeros: of red, green and blue of `sharpened`
  uint8_t *images, *masks;      ///< [batch, 3, size, size], [batch, size, size]
};

/// The same bits each time.
cudaError_t augment(const AugmentTask& task, cudaStream_t stream);

}  // namespace codmoe::ops::cuda
