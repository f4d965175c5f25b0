// The rows of ops::augment, written on the host.
#pragma once

#include <ATen/core/Tensor.h>

#include <cstdint>

#include "codmoe/data/batch_source.h"
#include "codmoe/ops/augment_row.h"

namespace codmoe::data {

/// Where a sample lies whose image and mask begin at these bytes.
ops::AugmentSource source_of(const Sample& sample, int64_t image, int64_t mask);

/// For `rows` samples, uint8 [rows, sizeof(AugmentRow)]; page-locked where `pinned`.
at::Tensor new_rows(int64_t rows, bool pinned);
void write_row(const ops::AugmentRow& written, int64_t row, at::Tensor& rows_bn);

/// A batch without names, of what lies on a CUDA device, on its current stream. @param side  of the batch
Batch make_on_device(const at::Tensor& pixels, const at::Tensor& rows_bn, int64_t side);

}  // namespace codmoe::data
