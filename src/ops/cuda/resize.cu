#include <cuda_bf16.h>

#include "elements.cuh"
#include "resize.h"

namespace codmoe::ops::cuda {

namespace {

constexpr int kThreads = 256;

/// What output `to` takes of input `from`: as LibTorch, which puts what lies before the first input on it.
__device__ float weight_of(const ResizedAxis& axis, int to, int from) {
  const float at = fmaxf((static_cast<float>(to) + 0.5F) * axis.scale - 0.5F, 0.0F);
  const int first = min(static_cast<int>(at), static_cast<int>(axis.from) - 1);
  const int second = min(first + 1, static_cast<int>(axis.from) - 1);
  const float share = fminf(fmaxf(at - static_cast<float>(first), 0.0F), 1.0F);
  return (first == from ? 1.0F - share : 0.0F) + (second == from ? share : 0.0F);
}

template <class T>
__global__ void __launch_bounds__(kThreads) backward_kernel(const ResizedAxis axis, const T* grad, T* grad_x) {
  const int64_t i = static_cast<int64_t>(blockIdx.x) * kThreads + threadIdx.x;
  if (i >= axis.outer * axis.from * axis.inner) return;
  const int64_t inner = i % axis.inner, outer = i / axis.inner / axis.from;
  const int from = static_cast<int>(i / axis.inner % axis.from);
  // Outputs whose position lies within one input of this; one more each side for rounding, whose weights are 0.
  const float step = 1.0F / axis.scale;
  const int begin = max(0, static_cast<int>(floorf((static_cast<float>(from) - 0.5F) * step - 0.5F)) - 1);
  const int end =
      min(static_cast<int>(axis.to), static_cast<int>(ceilf((static_cast<float>(from) + 1.5F) * step - 0.5F)) + 2);
  const T* column = grad + outer * axis.to * axis.inner + inner;
  float sum = 0.0F;
  for (int to = begin; to < end; ++to) sum += weight_of(axis, to, from) * to_float(column[to * axis.inner]);
  grad_x[i] = static_cast<T>(sum);
}

template <class T>
cudaError_t launch(const ResizedAxis& axis, const void* grad, void* grad_x, cudaStream_t stream) {
  const int64_t count = axis.outer * axis.from * axis.inner;
  backward_kernel<T><<<static_cast<unsigned>((count + kThreads - 1) / kThreads), kThreads, 0, stream>>>(
      axis, static_cast<const T*>(grad), static_cast<T*>(grad_x));
  return cudaGetLastError();
}

}  // namespace

cudaError_t resize_axis_backward(const ResizedAxis& axis, const void* grad, void* grad_x, cudaStream_t stream) {
  return axis.bfloat16 ? launch<__nv_bfloat16>(axis, grad, grad_x, stream) : launch<float>(axis, grad, grad_x, stream);
}

}  // namespace codmoe::ops::cuda
