// The arguments of ops::augment, written row by row on the host.
#pragma once

#include <ATen/core/Tensor.h>

#include <cstdint>

#include "codmoe/data/batch_source.h"

namespace codmoe::data {

/// Where a sample lies in the pixels: a row of ops::augment's places.
struct Place {
  int64_t image, mask;  ///< their first bytes
  int64_t height, width;
};

/// New places and changes of `rows` samples, page-locked where `pinned`.
at::Tensor new_places(int64_t rows, bool pinned);
at::Tensor new_changes(int64_t rows, bool pinned);

/// Writes one row of each. @param size  side of the batch
void write_row(const Place& place, const Augmentation& drawn, int64_t size, int64_t row, at::Tensor& places_b4,
               at::Tensor& changes_bp);

/// A batch without names, of what lies on a CUDA device, on its current stream.
Batch make_on_device(const at::Tensor& pixels, const at::Tensor& places_b4, const at::Tensor& changes_bp, int64_t size);

}  // namespace codmoe::data
