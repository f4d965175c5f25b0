// Gradient of a depthwise convolution's weights: sums over bands of rows by one thread a filter row and pair of
// channels, then over bands and slots.
#pragma once

#include "parameters.cuh"
#include "train_access.cuh"

namespace codmoe::ops::cuda {

__host__ __device__ inline int bands(const Shape& shape) { return (shape.height + kBandRows - 1) / kBandRows; }

/// float [taps, C] of one band of a slot.
__device__ inline float* band_sums(const Training& training, const TrainingMemory& memory, int slot, int band) {
  return floats_at(memory.work, memory.depthwise) +
         (static_cast<int64_t>(slot) * bands(training.shape) + band) * kDepthwiseTaps * training.shape.channels;
}

__device__ inline float2 load_pair(const float* from) { return *reinterpret_cast<const float2*>(from); }
__device__ inline float2 load_pair(const __nv_bfloat16* from) {
  return __bfloat1622float2(*reinterpret_cast<const __nv_bfloat162*>(from));
}

/// Row ky of the filters of two channels, over one band; the window of x slides along the image's rows.
template <class T, int kKernel>
__device__ void sum_band(const Shape& shape, const T* x, const T* gradient, int band, int ky, float2 (&sums)[kKernel]) {
  constexpr int pad = kKernel / 2;
  const int first_y = band * kBandRows, last_y = min(first_y + kBandRows, shape.height);
  for (int y = max(first_y, pad - ky); y < min(last_y, shape.height + pad - ky); ++y) {
    const T* source = x + (y + ky - pad) * shape.width * shape.channels;
    const T* own = gradient + y * shape.width * shape.channels;
    float2 window[kKernel];
#pragma unroll
    for (int k = 0; k < kKernel; ++k) {
      const int at = k - pad - 1;  // shifted once before the first use
      window[k] = at >= 0 && at < shape.width ? load_pair(source + at * shape.channels) : float2{0.0F, 0.0F};
    }
#pragma unroll 4
    for (int column = 0; column < shape.width; ++column) {
      const int next = column + pad;
#pragma unroll
      for (int k = 0; k + 1 < kKernel; ++k) window[k] = window[k + 1];
      window[kKernel - 1] = next < shape.width ? load_pair(source + next * shape.channels) : float2{0.0F, 0.0F};
      const float2 value = load_pair(own + column * shape.channels);
#pragma unroll
      for (int k = 0; k < kKernel; ++k) {
        sums[k].x += value.x * window[k].x;
        sums[k].y += value.y * window[k].y;
      }
    }
  }
}

template <class T, int kKernel>
__device__ void sum_bands(const Training& training, const TrainingMemory& memory, const Slot<T>& slot, int block) {
  const Shape& shape = training.shape;
  const int pairs = shape.channels / 2, item = block * kThreads + static_cast<int>(threadIdx.x);
  const int pair = item % pairs, ky = item / pairs % kKernel, band = item / pairs / kKernel;
  if (band >= bands(shape)) return;
  float2 sums[kKernel] = {};
  sum_band<T, kKernel>(shape, slot.x + 2 * pair, slot.map(kOwnGradient) + 2 * pair, band, ky, sums);
  float* to = band_sums(training, memory, slot.index, band) + 2 * pair;
#pragma unroll
  for (int k = 0; k < kKernel; ++k) *reinterpret_cast<float2*>(to + (ky * kKernel + k) * shape.channels) = sums[k];
}

/// Blocks of sum_bands a slot.
__host__ __device__ inline int band_blocks(const Shape& shape, int kernel) {
  return (bands(shape) * kernel * shape.channels / 2 + kThreads - 1) / kThreads;
}

/// 32 channels of one tap: the sum over bands and slots. `work` holds kThreads floats.
__device__ inline void finish_depthwise(const Training& training, const TrainingMemory& memory, const TrainConv& conv,
                                        const SlotList& list, int tap, int first_channel, float* work) {
  const int lane = static_cast<int>(threadIdx.x) % 32, group = static_cast<int>(threadIdx.x) / 32;
  const int c = first_channel + lane, all = bands(training.shape);
  float total = 0.0F;
#pragma unroll 4
  for (int i = group; i < list.count * all; i += kThreads / 32)
    total += band_sums(training, memory, list.slots[i / all], i % all)[tap * training.shape.channels + c];
  work[threadIdx.x] = total;
  __syncthreads();
  if (group > 0) return;
  for (int g = 1; g < kThreads / 32; ++g) total += work[g * 32 + lane];
  store_gradient(training.parameters[conv.weight], c, 0, tap, total);
}

}  // namespace codmoe::ops::cuda
