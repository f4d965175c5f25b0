// What the autograd functions on own CUDA kernels share.
#pragma once

#include <ATen/core/Tensor.h>
#include <ATen/core/grad_mode.h>
#include <c10/util/Exception.h>

#include <cstdint>

namespace codmoe::ops {

/// The types that the kernels take.
inline bool is_kernel_type(at::ScalarType type) { return type == at::kFloat || type == at::kBFloat16; }

inline bool is_bfloat16(const at::Tensor& x) { return x.scalar_type() == at::kBFloat16; }

/// Whether kernels can read and write it 16 bytes at a time.
inline bool is_aligned(const at::Tensor& x) { return reinterpret_cast<std::uintptr_t>(x.const_data_ptr()) % 16 == 0; }

/// The same values, dense in this order and aligned.
inline at::Tensor aligned(const at::Tensor& x, at::MemoryFormat order = at::MemoryFormat::Contiguous) {
  const auto dense = x.contiguous(order);
  return is_aligned(dense) ? dense : dense.clone();
}

/// To be called in a backward: gradients of these gradients would be wrong, and nobody would know.
inline void refuse_second_derivative(const char* name) {
  TORCH_CHECK(!at::GradMode::is_enabled(), name, ": has no second derivative on CUDA");
}

}  // namespace codmoe::ops
