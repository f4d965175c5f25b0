#include "device_augment.h"

#include <ATen/ATen.h>

#include <cstring>

#include "codmoe/ops/augment.h"

namespace codmoe::data {

ops::AugmentSource source_of(const Sample& sample, int64_t image, int64_t mask) {
  return {.image = image,
          .mask = mask,
          .height = static_cast<int32_t>(sample.mask.size(0)),
          .width = static_cast<int32_t>(sample.mask.size(1))};
}

at::Tensor new_rows(int64_t rows, bool pinned) {
  return at::empty({rows, sizeof(ops::AugmentRow)}, at::TensorOptions(at::kByte).pinned_memory(pinned));
}

void write_row(const ops::AugmentRow& written, int64_t row, at::Tensor& rows_bn) {
  std::memcpy(rows_bn.mutable_data_ptr<uint8_t>() + row * rows_bn.size(1), &written, sizeof(written));
}

Batch make_on_device(const at::Tensor& pixels, const at::Tensor& rows_bn, int64_t side) {
  auto made = ops::augment(pixels, rows_bn, side);
  return {std::move(made.images), std::move(made.masks), {}};
}

}  // namespace codmoe::data
