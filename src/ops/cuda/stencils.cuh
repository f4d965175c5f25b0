// The maps that frequency, edge and hybrid experts derive from x before their convolutions, 16 bytes of channels of one
// position at a time. Loads outside the image are made at its border and multiplied by zero, so that they don't wait
// for one another.
#pragma once

#include "elements.cuh"
#include "tiling.h"

namespace codmoe::ops::cuda {

/// A window into one image of [H, W, C] at the chunk of channels starting at `channel`.
template <class T>
struct Window {
  const T* image;
  int height, width, channels, channel;

  __device__ void load(int y, int x, float (&values)[kLanes<T>]) const {
    const bool inside = static_cast<unsigned>(y) < static_cast<unsigned>(height) &&
                        static_cast<unsigned>(x) < static_cast<unsigned>(width);
    load_chunk(image + (inside ? (y * width + x) * channels : 0) + channel, values);
#pragma unroll
    for (float& value : values) value = inside ? value : 0.0F;
  }
};

/// Where a strip's results go: three maps at (y, x).
template <class T>
struct StripTarget {
  T* maps;  ///< the first, at the chunk's first channel
  int64_t map_size;
  int height, width, channels;

  __device__ void store(int map, int y, int x, const float (&values)[kLanes<T>]) const {
    if (y < height) store_chunk(maps + map * map_size + static_cast<int64_t>(y * width + x) * channels, values);
  }
};

/// low = box3, mid = box3 - box5, high = x - box3; zero padding counted.
template <class T>
__device__ inline void bands_of_strip(const Window<T>& window, int first_y, int x, const StripTarget<T>& target) {
  constexpr int n = kLanes<T>;
  float wide[kStrip][n] = {}, narrow[kStrip][n] = {}, centre[kStrip][n] = {};
#pragma unroll
  for (int row = -2; row < kStrip + 2; ++row) {
    float sum5[n] = {}, sum3[n] = {}, middle[n] = {};
#pragma unroll
    for (int dx = -2; dx <= 2; ++dx) {
      float value[n];
      window.load(first_y + row, x + dx, value);
#pragma unroll
      for (int i = 0; i < n; ++i) {
        sum5[i] += value[i];
        if (dx >= -1 && dx <= 1) sum3[i] += value[i];
        if (dx == 0) middle[i] = value[i];
      }
    }
#pragma unroll
    for (int out = 0; out < kStrip; ++out) {
#pragma unroll
      for (int i = 0; i < n; ++i) {
        if (row - out >= -2 && row - out <= 2) wide[out][i] += sum5[i];
        if (row - out >= -1 && row - out <= 1) narrow[out][i] += sum3[i];
        if (row == out) centre[out][i] = middle[i];
      }
    }
  }
#pragma unroll
  for (int out = 0; out < kStrip; ++out) {
#pragma unroll
    for (int i = 0; i < n; ++i) {
      const float low = narrow[out][i] / 9.0F;
      narrow[out][i] = low;
      wide[out][i] = low - wide[out][i] / 25.0F;
      centre[out][i] -= low;
    }
    target.store(0, first_y + out, x, narrow[out]);
    target.store(1, first_y + out, x, wide[out]);
    target.store(2, first_y + out, x, centre[out]);
  }
}

/// Magnitudes of Sobel, Laplacian and both together.
template <class T>
__device__ inline void edges_of_strip(const Window<T>& window, int first_y, int x, const StripTarget<T>& target) {
  constexpr int n = kLanes<T>;
  float gx[kStrip][n] = {}, gy[kStrip][n] = {}, lap[kStrip][n] = {};
#pragma unroll
  for (int row = -1; row < kStrip + 1; ++row) {
    float left[n], middle[n], right[n];
    window.load(first_y + row, x - 1, left);
    window.load(first_y + row, x, middle);
    window.load(first_y + row, x + 1, right);
#pragma unroll
    for (int out = 0; out < kStrip; ++out) {
      const int dy = row - out;
      if (dy < -1 || dy > 1) continue;
#pragma unroll
      for (int i = 0; i < n; ++i) {
        gx[out][i] += (dy == 0 ? 2.0F : 1.0F) * (right[i] - left[i]);
        gy[out][i] += static_cast<float>(dy) * (left[i] + 2.0F * middle[i] + right[i]);
        lap[out][i] += dy == 0 ? left[i] + right[i] - 4.0F * middle[i] : middle[i];
      }
    }
  }
#pragma unroll
  for (int out = 0; out < kStrip; ++out) {
#pragma unroll
    for (int i = 0; i < n; ++i) {
      const float s2 = gx[out][i] * gx[out][i] + gy[out][i] * gy[out][i] + 1e-6F, l = fabsf(lap[out][i]);
      gx[out][i] = sqrtf(s2);
      gy[out][i] = sqrtf(s2 + l * l + 1e-6F);
      lap[out][i] = l;
    }
    target.store(0, first_y + out, x, gx[out]);
    target.store(1, first_y + out, x, lap[out]);
    target.store(2, first_y + out, x, gy[out]);
  }
}

/// The filters [C, k, k] as floats [k * k, C] in shared memory.
template <class T>
__device__ inline void share_filters(const Expert& expert, int channels, float* shared) {
  const int taps = expert.depthwise_kernel * expert.depthwise_kernel;
  const T* filters = static_cast<const T*>(expert.depthwise);
  for (int i = static_cast<int>(threadIdx.x); i < channels * taps; i += static_cast<int>(blockDim.x))
    shared[i % taps * channels + i / taps] = to_float(filters[i]);
  __syncthreads();
}

/// Depthwise convolution; the filters as share_filters leaves them.
template <class T, int kKernel>
__device__ inline void depthwise_of_strip(const Window<T>& window, const float* filters, int first_y, int x,
                                          float (&result)[kStrip][kLanes<T>]) {
  constexpr int n = kLanes<T>, pad = kKernel / 2;
#pragma unroll 1
  for (int dx = -pad; dx <= pad; ++dx) {
    float filter[kKernel][n];
#pragma unroll
    for (int ky = 0; ky < kKernel; ++ky) {
#pragma unroll
      for (int i = 0; i < n; i += 4)
        *reinterpret_cast<float4*>(&filter[ky][i]) = *reinterpret_cast<const float4*>(
            filters + (ky * kKernel + dx + pad) * window.channels + window.channel + i);
    }
#pragma unroll
    for (int row = -pad; row < kStrip + pad; ++row) {
      float value[n];
      window.load(first_y + row, x + dx, value);
#pragma unroll
      for (int out = 0; out < kStrip; ++out) {
        if (row - out < -pad || row - out > pad) continue;
#pragma unroll
        for (int i = 0; i < n; ++i) result[out][i] += filter[row - out + pad][i] * value[i];
      }
    }
  }
}

/// The strip that one thread of a stencil computes: of `blocks` blocks an image, none beyond the image.
template <class T>
struct Strip {
  int first_y, x, channel;

  __device__ Strip(const Shape& shape, int block) {
    const int chunks = shape.channels / kLanes<T>;
    const int item = block * static_cast<int>(blockDim.x) + static_cast<int>(threadIdx.x), strip = item / chunks;
    channel = item % chunks * kLanes<T>;
    first_y = strip / shape.width * kStrip;
    x = strip % shape.width;
  }
};

template <class T>
__device__ inline void store_normed(const Epilogue& epilogue, bool bfloat16_vectors, const Strip<T>& strip,
                                    const StripTarget<T>& target, float (&result)[kStrip][kLanes<T>]) {
#pragma unroll
  for (int i = 0; i < kLanes<T>; ++i) {
    const Affine norm = affine_at(epilogue, strip.channel + i, bfloat16_vectors);
#pragma unroll
    for (int out = 0; out < kStrip; ++out) result[out][i] = norm.scale * result[out][i] + norm.shift;
  }
#pragma unroll
  for (int out = 0; out < kStrip; ++out) target.store(0, strip.first_y + out, strip.x, result[out]);
}

/// Maps 1 to 3 of one slot [kSlotMaps, N, C], as far as one block computes them.
template <class T>
__device__ void run_stencil(const Expert& expert, bool bfloat16_vectors, const Shape& shape, const T* image, T* maps,
                            int block, float* shared) {
  if (expert.stencil == Stencil::depthwise) share_filters<T>(expert, shape.channels, shared);
  const Strip<T> strip(shape, block);
  if (strip.first_y >= shape.height) return;
  const Window<T> window{image, shape.height, shape.width, shape.channels, strip.channel};
  const int64_t map_size = static_cast<int64_t>(shape.positions) * shape.channels;
  const StripTarget<T> target{maps + map_size + strip.channel, map_size, shape.height, shape.width, shape.channels};
  if (expert.stencil == Stencil::bands) {
    bands_of_strip(window, strip.first_y, strip.x, target);
  } else if (expert.stencil == Stencil::edges) {
    edges_of_strip(window, strip.first_y, strip.x, target);
  } else {
    float result[kStrip][kLanes<T>] = {};
    if (expert.depthwise_kernel == 5) {
      depthwise_of_strip<T, 5>(window, shared, strip.first_y, strip.x, result);
    } else {
      depthwise_of_strip<T, 3>(window, shared, strip.first_y, strip.x, result);
    }
    store_normed(expert.depthwise_epilogue, bfloat16_vectors, strip, target, result);
  }
}

}  // namespace codmoe::ops::cuda
