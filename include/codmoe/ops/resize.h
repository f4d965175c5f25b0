// Bilinear resizing.
#pragma once

#include <ATen/core/Tensor.h>

namespace codmoe::ops {

/// x [B, C, H, W] resized to height and width, corners not aligned (the convention of PyTorch and OpenCV), in x's dtype
/// and memory format; x itself where the size is the same. On CUDA the gradient is gathered, not scattered: faster, and
/// the same on every run. @throws c10::Error for another rank or an empty result; on CUDA for a second derivative.
at::Tensor resize_bilinear(const at::Tensor& x_bchw, int64_t height, int64_t width);

/// onto + x resized to its size, both [B, C, ...] of one dtype. On CUDA one kernel in channels last, whose sum is
/// rounded once. @throws as resize_bilinear.
at::Tensor add_resized(const at::Tensor& onto_bchw, const at::Tensor& x_bchw);

}  // namespace codmoe::ops
