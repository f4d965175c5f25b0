#include "codmoe/ops/augment.h"

#include <ATen/ATen.h>

#ifdef CODMOE_CUDA
#include <ATen/cuda/CUDAContext.h>
#include <c10/cuda/CUDAException.h>
#include <c10/cuda/CUDAGuard.h>

#include "cuda/augment.h"
#endif

namespace codmoe::ops {

AugmentedBatch augment(const at::Tensor& pixels, const at::Tensor& places_b4, const at::Tensor& changes_bp,
                       int64_t size) {
#ifdef CODMOE_CUDA
  TORCH_CHECK(pixels.is_cuda() && pixels.scalar_type() == at::kByte && pixels.dim() == 1,
              "augment: pixels must be uint8 [N] on a CUDA device, not ", pixels.scalar_type(), " ", pixels.sizes());
  const auto batch = places_b4.size(0);
  TORCH_CHECK(places_b4.scalar_type() == at::kLong && places_b4.sizes() == at::IntArrayRef({batch, 4}),
              "augment: places must be int64 [B, 4], not ", places_b4.scalar_type(), " ", places_b4.sizes());
  TORCH_CHECK(changes_bp.scalar_type() == at::kFloat && changes_bp.sizes() == at::IntArrayRef({batch, kAugmentColumns}),
              "augment: changes must be float32 [B, ", kAugmentColumns, "], not ", changes_bp.scalar_type(), " ",
              changes_bp.sizes());
  TORCH_CHECK(batch > 0 && size > 0 && places_b4.device() == pixels.device() && changes_bp.device() == pixels.device(),
              "augment: takes at least one sample and pixel, and everything on ", pixels.device());
  static_assert(kAugmentColumns == cuda::kChangeColumns);
  const c10::cuda::CUDAGuard guard(pixels.device());
  const auto places = places_b4.contiguous(), changes = changes_bp.contiguous();
  const auto bytes = pixels.options();
  AugmentedBatch result{at::empty({batch, 3, size, size}, bytes), at::empty({batch, 1, size, size}, bytes)};
  const auto warped = at::empty({batch, size, size, 3}, bytes), sharpened = at::empty_like(warped);
  const auto sums = at::zeros({batch, 3}, bytes.dtype(at::kLong));
  C10_CUDA_CHECK(cuda::augment({.batch = batch,
                                .size = size,
                                .pixels = pixels.const_data_ptr<uint8_t>(),
                                .places = places.const_data_ptr<int64_t>(),
                                .changes = changes.const_data_ptr<float>(),
                                .warped = warped.mutable_data_ptr<uint8_t>(),
                                .sharpened = sharpened.mutable_data_ptr<uint8_t>(),
                                .sums = sums.mutable_data_ptr<int64_t>(),
                                .images = result.images.mutable_data_ptr<uint8_t>(),
                                .masks = result.masks.mutable_data_ptr<uint8_t>()},
                               at::cuda::getCurrentCUDAStream().stream()));
  return result;
#else
  (void)places_b4, (void)changes_bp, (void)size;
  TORCH_CHECK(false, "augment: this build has no CUDA, pixels are on ", pixels.device());
#endif
}

}  // namespace codmoe::ops
