#include <cuda_bf16.h>

#include <limits>

#include "elements.cuh"
#include "resize.h"

namespace codmoe::ops::cuda {

namespace {

constexpr int kThreads = 256;

/// The two inputs of an output and the second one's share: as LibTorch, which puts what lies before the first input on
/// it.
struct Taps {
  int first, second;
  float share;

  __device__ Taps(float scale, int from, int to) {
    const float at = fmaxf((static_cast<float>(to) + 0.5F) * scale - 0.5F, 0.0F);
    first = min(static_cast<int>(at), from - 1);
    second = min(first + 1, from - 1);
    share = fminf(fmaxf(at - static_cast<float>(first), 0.0F), 1.0F);
  }
  /// What the output takes of this input.
  __device__ float weight_of(int input) const {
    return (first == input ? 1.0F - share : 0.0F) + (second == input ? share : 0.0F);
  }
};

/// A thread makes 16 bytes of neighbouring channels of one position.
template <class T>
__global__ void __launch_bounds__(kThreads) forward_kernel(const ResizedMap map, const T* x, const T* onto, T* y) {
  constexpr int n = kLanes<T>;
  const int chunks = map.channels / n;
  const int64_t i = static_cast<int64_t>(blockIdx.x) * kThreads + threadIdx.x;
  if (i >= static_cast<int64_t>(map.batch) * map.to_height * map.to_width * chunks) return;
  const int position = static_cast<int>(i / chunks), channel = static_cast<int>(i % chunks) * n;
  const int row = position / map.to_width, column = position - row * map.to_width;
  const int image = row / map.to_height;
  const Taps vertical(map.scale_height, map.height, row - image * map.to_height);
  const Taps horizontal(map.scale_width, map.width, column);
  const T* own = x + static_cast<int64_t>(image) * map.height * map.width * map.channels + channel;
  const auto load = [&](int at_y, int at_x, float(&values)[n]) {
    load_chunk(own + static_cast<int64_t>(at_y * map.width + at_x) * map.channels, values);
  };
  float top_left[n], top_right[n], low_left[n], low_right[n], sum[n] = {};
  load(vertical.first, horizontal.first, top_left);
  load(vertical.first, horizontal.second, top_right);
  load(vertical.second, horizontal.first, low_left);
  load(vertical.second, horizontal.second, low_right);
  if (onto != nullptr) load_chunk(onto + i * n, sum);
#pragma unroll
  for (int c = 0; c < n; ++c) {
    const float top = (1.0F - horizontal.share) * top_left[c] + horizontal.share * top_right[c];
    const float low = (1.0F - horizontal.share) * low_left[c] + horizontal.share * low_right[c];
    sum[c] += (1.0F - vertical.share) * top + vertical.share * low;
  }
  store_chunk(y + i * n, sum);
}

template <class T>
cudaError_t launch_forward(const ResizedMap& map, const void* x, const void* onto, void* y, cudaStream_t stream) {
  const int64_t count = static_cast<int64_t>(map.batch) * map.to_height * map.to_width * (map.channels / kLanes<T>);
  forward_kernel<T><<<static_cast<unsigned>((count + kThreads - 1) / kThreads), kThreads, 0, stream>>>(
      map, static_cast<const T*>(x), static_cast<const T*>(onto), static_cast<T*>(y));
  return cudaGetLastError();
}

/// kCount neighbouring elements as float32: one, or 16 bytes.
template <class T, int kCount>
struct Elements {
  float at[kCount];

  __device__ static Elements load(const T* from) {
    Elements elements;
    if constexpr (kCount == 1) {
      elements.at[0] = to_float(*from);
    } else {
      load_chunk(from, elements.at);
    }
    return elements;
  }
  __device__ void store(T* to) const {
    if constexpr (kCount == 1) {
      *to = static_cast<T>(at[0]);
    } else {
      store_chunk(to, at);
    }
  }
};

/// A thread makes kCount neighbouring elements of `inner`.
template <class T, int kCount>
__global__ void __launch_bounds__(kThreads) backward_kernel(const ResizedAxis axis, const T* grad, T* grad_x) {
  const int64_t i = static_cast<int64_t>(blockIdx.x) * kThreads + threadIdx.x, chunks = axis.inner / kCount;
  if (i >= axis.outer * axis.from * chunks) return;
  const int64_t inner = i % chunks * kCount, outer = i / chunks / axis.from;
  const int from = static_cast<int>(i / chunks % axis.from), inputs = static_cast<int>(axis.from);
  // Outputs whose position lies within one input of this; one more each side for rounding, whose weights are 0.
  const float step = 1.0F / axis.scale;
  const int begin = max(0, static_cast<int>(floorf((static_cast<float>(from) - 0.5F) * step - 0.5F)) - 1);
  const int end =
      min(static_cast<int>(axis.to), static_cast<int>(ceilf((static_cast<float>(from) + 1.5F) * step - 0.5F)) + 2);
  const T* column = grad + outer * axis.to * axis.inner + inner;
  Elements<T, kCount> sum{};
#pragma unroll 4
  for (int to = begin; to < end; ++to) {
    const float weight = Taps(axis.scale, inputs, to).weight_of(from);
    const auto values = Elements<T, kCount>::load(column + to * axis.inner);
#pragma unroll
    for (int c = 0; c < kCount; ++c) sum.at[c] += weight * values.at[c];
  }
  sum.store(grad_x + i * kCount);
}

template <class T, int kCount>
cudaError_t launch_backward(const ResizedAxis& axis, const void* grad, void* grad_x, cudaStream_t stream) {
  const int64_t count = axis.outer * axis.from * (axis.inner / kCount);
  backward_kernel<T, kCount><<<static_cast<unsigned>((count + kThreads - 1) / kThreads), kThreads, 0, stream>>>(
      axis, static_cast<const T*>(grad), static_cast<T*>(grad_x));
  return cudaGetLastError();
}

template <class T>
cudaError_t launch_backward(const ResizedAxis& axis, const void* grad, void* grad_x, cudaStream_t stream) {
  return axis.inner % kLanes<T> == 0 ? launch_backward<T, kLanes<T>>(axis, grad, grad_x, stream)
                                     : launch_backward<T, 1>(axis, grad, grad_x, stream);
}

}  // namespace

bool resize_takes(const ResizedMap& map) {
  const int64_t positions = static_cast<int64_t>(map.batch) * map.to_height * map.to_width;
  return map.channels % (map.bfloat16 ? kLanes<__nv_bfloat16> : kLanes<float>) == 0 &&
         positions <= std::numeric_limits<int>::max() &&
         static_cast<int64_t>(map.height) * map.width <= std::numeric_limits<int>::max();
}

cudaError_t resize_forward(const ResizedMap& map, const void* x, const void* onto, void* y, cudaStream_t stream) {
  return map.bfloat16 ? launch_forward<__nv_bfloat16>(map, x, onto, y, stream)
                      : launch_forward<float>(map, x, onto, y, stream);
}

cudaError_t resize_axis_backward(const ResizedAxis& axis, const void* grad, void* grad_x, cudaStream_t stream) {
  return axis.bfloat16 ? launch_backward<__nv_bfloat16>(axis, grad, grad_x, stream)
                       : launch_backward<float>(axis, grad, grad_x, stream);
}

}  // namespace codmoe::ops::cuda
