#include "codmoe/ops/augment.h"

#include <ATen/ATen.h>

#ifdef CODMOE_CUDA
#include <ATen/cuda/CUDAContext.h>
#include <c10/cuda/CUDAException.h>
#include <c10/cuda/CUDAGuard.h>

#include "cuda/augment.h"
#endif

namespace codmoe::ops {

AugmentedBatch augment(const at::Tensor& pixels, const at::Tensor& rows_bn, int64_t size) {
#ifdef CODMOE_CUDA
  TORCH_CHECK(pixels.is_cuda() && pixels.scalar_type() == at::kByte && pixels.dim() == 1,
              "augment: pixels must be uint8 [N] on a CUDA device, not ", pixels.scalar_type(), " ", pixels.sizes());
  constexpr int64_t row_bytes = sizeof(AugmentRow);
  TORCH_CHECK(rows_bn.scalar_type() == at::kByte && rows_bn.dim() == 2 && rows_bn.size(1) == row_bytes,
              "augment: rows must be uint8 [B, ", row_bytes, "], not ", rows_bn.scalar_type(), " ", rows_bn.sizes());
  const auto batch = rows_bn.size(0);
  TORCH_CHECK(batch > 0 && size > 0 && rows_bn.device() == pixels.device(),
              "augment: takes at least one sample and pixel, and everything on ", pixels.device());
  const c10::cuda::CUDAGuard guard(pixels.device());
  const auto rows = rows_bn.contiguous();
  const auto* first_row = rows.const_data_ptr<uint8_t>();
  TORCH_CHECK(reinterpret_cast<uintptr_t>(first_row) % alignof(AugmentRow) == 0, "augment: rows must be aligned to ",
              alignof(AugmentRow), " bytes");
  const auto bytes = pixels.options();
  AugmentedBatch result{at::empty({batch, 3, size, size}, bytes), at::empty({batch, 1, size, size}, bytes)};
  const auto warped = at::empty({batch, size, size, 3}, bytes), sharpened = at::empty_like(warped);
  const auto sums = at::zeros({batch, 3}, bytes.dtype(at::kLong));
  C10_CUDA_CHECK(cuda::augment({.batch = batch,
                                .size = size,
                                .pixels = pixels.const_data_ptr<uint8_t>(),
                                .rows = reinterpret_cast<const AugmentRow*>(first_row),
                                .warped = warped.mutable_data_ptr<uint8_t>(),
                                .sharpened = sharpened.mutable_data_ptr<uint8_t>(),
                                .sums = sums.mutable_data_ptr<int64_t>(),
                                .images = result.images.mutable_data_ptr<uint8_t>(),
                                .masks = result.masks.mutable_data_ptr<uint8_t>()},
                               at::cuda::getCurrentCUDAStream().stream()));
  return result;
#else
  (void)rows_bn, (void)size;
  TORCH_CHECK(false, "augment: this build has no CUDA, pixels are on ", pixels.device());
#endif
}

}  // namespace codmoe::ops
