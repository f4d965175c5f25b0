// The experts' tensors as inference reads them: as they lie where that fits, else copied for one call.
#pragma once

#include <ATen/core/Tensor.h>
#include <cuda_runtime_api.h>

#include <vector>

#include "cuda/fused_moe.h"
#include "cuda/pack.h"

namespace codmoe::ops {

/// Tensors of one call, kept until its kernels are queued.
class FusedOperands {
 public:
  /// @param vectors  float32; or bfloat16, where every vector lies so already
  FusedOperands(const at::Tensor& x, at::ScalarType vectors);

  /// [out, k, k, in] in the type of x.
  const void* filters(const at::Tensor& weight, const cuda::Groups& out, const cuda::Groups& in);
  /// [out] in the type of the vectors.
  const void* vector(const at::Tensor& values, const cuda::Groups& out);

  /// Queues the copies behind what was returned.
  void copy(cuda::Math math, cudaStream_t stream) const;

 private:
  const void* keep(const at::Tensor& tensor);
  const void* keep_copy(const at::Tensor& tensor, at::ScalarType type, cuda::Parameter parameter);

  c10::Device device_;
  at::ScalarType maps_, vectors_;
  std::vector<at::Tensor> kept_;
  std::vector<cuda::PackList> lists_;
};

}  // namespace codmoe::ops
