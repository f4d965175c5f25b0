// The maps that training's experts derive from x, and how their gradients come back to x.
#pragma once

#include "stencils.cuh"
#include "train_access.cuh"

namespace codmoe::ops::cuda {

/// Maps 1 to 3 of one slot as in inference, but the depthwise convolution's, not normed yet, in map 2.
template <class T>
__device__ void derive_maps(const Training& training, const TrainingMemory& memory, const Slot<T>& slot, int block) {
  const Shape& shape = training.shape;
  const TrainExpert& expert = training.experts[slot.expert];
  const Strip<T> strip(shape, block);
  if (strip.first_y >= shape.height) return;
  const Window<T> window{slot.x, shape.height, shape.width, shape.channels, strip.channel};
  const StripTarget<T> target{slot.map(kOwn) + strip.channel, slot.map_size, shape.height, shape.width, shape.channels};
  if (expert.stencil == Stencil::bands) {
    bands_of_strip(window, strip.first_y, strip.x, target);
  } else if (expert.stencil == Stencil::edges) {
    edges_of_strip(window, strip.first_y, strip.x, target);
  } else {
    const float* filters = vector_of(training, memory, expert.depthwise.weight);
    float result[kStrip][kLanes<T>] = {};
    if (expert.depthwise.kernel == 5) {
      depthwise_of_strip<T, 5>(window, filters, strip.first_y, strip.x, result);
    } else {
      depthwise_of_strip<T, 3>(window, filters, strip.first_y, strip.x, result);
    }
#pragma unroll
    for (int out = 0; out < kStrip; ++out) target.store(1, strip.first_y + out, strip.x, result[out]);
  }
}

/// Gradients of the three magnitudes become, in place, those of the filters' results: Sobel x, Sobel y, Laplacian.
template <class T>
__device__ void leave_magnitudes(const Shape& shape, const Slot<T>& slot, int block) {
  constexpr int n = kLanes<T>;
  const Strip<T> strip(shape, block);
  const Window<T> window{slot.x, shape.height, shape.width, shape.channels, strip.channel};
  T* gradients = slot.map(kOwnGradient) + strip.channel;
#pragma unroll 1
  for (int y = strip.first_y; y < min(strip.first_y + kStrip, shape.height); ++y) {
    float gx[n] = {}, gy[n] = {}, lap[n] = {};
#pragma unroll
    for (int row = -1; row <= 1; ++row) {
      float left[n], middle[n], right[n];
      window.load(y + row, strip.x - 1, left);
      window.load(y + row, strip.x, middle);
      window.load(y + row, strip.x + 1, right);
#pragma unroll
      for (int i = 0; i < n; ++i) {
        gx[i] += (row == 0 ? 2.0F : 1.0F) * (right[i] - left[i]);
        gy[i] += static_cast<float>(row) * (left[i] + 2.0F * middle[i] + right[i]);
        lap[i] += row == 0 ? left[i] + right[i] - 4.0F * middle[i] : middle[i];
      }
    }
    T* at = gradients + (y * shape.width + strip.x) * shape.channels;
    float sobel[n], laplacian[n], both[n];
    load_chunk(at, sobel);
    load_chunk(at + slot.map_size, laplacian);
    load_chunk(at + 2 * slot.map_size, both);
#pragma unroll
    for (int i = 0; i < n; ++i) {
      const float s2 = gx[i] * gx[i] + gy[i] * gy[i] + 1e-6F, s = sqrtf(s2), l = fabsf(lap[i]);
      const float share = both[i] / sqrtf(s2 + l * l + 1e-6F), slope = (sobel[i] + share * s) / s;
      sobel[i] = slope * gx[i];
      both[i] = (laplacian[i] + share * l) * (lap[i] > 0.0F ? 1.0F : lap[i] < 0.0F ? -1.0F : 0.0F);
      laplacian[i] = slope * gy[i];
    }
    store_chunk(at, sobel);
    store_chunk(at + slot.map_size, laplacian);
    store_chunk(at + 2 * slot.map_size, both);
  }
}

/// A strip's gradients of x, collected.
template <class T>
struct StripSums {
  float of[kStrip][kLanes<T>] = {};
};

/// box3 of the first map - box5 of the second.
template <class T>
__device__ void add_bands(const Window<T>& narrow, const Window<T>& wide, int first_y, int x, StripSums<T>& sums) {
  constexpr int n = kLanes<T>;
#pragma unroll
  for (int row = -2; row < kStrip + 2; ++row) {
    float sum5[n] = {}, sum3[n] = {};
#pragma unroll
    for (int dx = -2; dx <= 2; ++dx) {
      float value[n];
      wide.load(first_y + row, x + dx, value);
#pragma unroll
      for (int i = 0; i < n; ++i) sum5[i] += value[i];
    }
    if (row >= -1 && row <= kStrip) {
#pragma unroll
      for (int dx = -1; dx <= 1; ++dx) {
        float value[n];
        narrow.load(first_y + row, x + dx, value);
#pragma unroll
        for (int i = 0; i < n; ++i) sum3[i] += value[i];
      }
    }
#pragma unroll
    for (int out = 0; out < kStrip; ++out) {
      const int dy = row - out;
#pragma unroll
      for (int i = 0; i < n; ++i) {
        if (dy >= -2 && dy <= 2) sums.of[out][i] -= sum5[i] / 25.0F;
        if (dy >= -1 && dy <= 1) sums.of[out][i] += sum3[i] / 9.0F;
      }
    }
  }
}

/// Transposes of the Sobel pair and the Laplacian.
template <class T>
__device__ void add_edges(const Window<T> (&maps)[3], int first_y, int x, StripSums<T>& sums) {
  constexpr int n = kLanes<T>;
#pragma unroll 1
  for (int row = -1; row < kStrip + 1; ++row) {
    float across[n], down[n], above[n],
        middle[n] = {};  // Sobel x, Sobel y of this row, the Laplacian's outer and inner
#pragma unroll
    for (int i = 0; i < n; ++i) across[i] = down[i] = above[i] = 0.0F;
#pragma unroll
    for (int dx = -1; dx <= 1; ++dx) {
      float gx[n], gy[n], lap[n];
      maps[0].load(first_y + row, x + dx, gx);
      maps[1].load(first_y + row, x + dx, gy);
      maps[2].load(first_y + row, x + dx, lap);
#pragma unroll
      for (int i = 0; i < n; ++i) {
        across[i] -= static_cast<float>(dx) * gx[i];
        down[i] += (dx == 0 ? 2.0F : 1.0F) * gy[i];
        middle[i] += (dx == 0 ? -4.0F : 1.0F) * lap[i];
        if (dx == 0) above[i] = lap[i];
      }
    }
#pragma unroll
    for (int out = 0; out < kStrip; ++out) {
      const int dy = row - out;
      if (dy < -1 || dy > 1) continue;
#pragma unroll
      for (int i = 0; i < n; ++i) {
        sums.of[out][i] += (dy == 0 ? 2.0F : 1.0F) * across[i] - static_cast<float>(dy) * down[i];
        sums.of[out][i] += dy == 0 ? middle[i] : above[i];
      }
    }
  }
}

/// Adds what one slot's convolutional expert gives x: through its own maps, and directly.
template <class T>
__device__ void add_expert_gradient(const Training& training, const TrainingMemory& memory, const Slot<T>& slot,
                                    const Strip<T>& strip, StripSums<T>& sums) {
  const Shape& shape = training.shape;
  const TrainExpert& expert = training.experts[slot.expert];
  const auto window = [&](int map) {
    return Window<T>{slot.map(map), shape.height, shape.width, shape.channels, strip.channel};
  };
  const Window<T> own[3] = {window(kOwnGradient), window(kOwnGradient + 1), window(kOwnGradient + 2)};
  if (expert.stencil == Stencil::bands) add_bands(own[0], own[1], strip.first_y, strip.x, sums);
  if (expert.stencil == Stencil::edges) add_edges(own, strip.first_y, strip.x, sums);
  if (expert.stencil == Stencil::depthwise) {
    const float* mirrored = packed_vector(memory, training.parameters[expert.depthwise.weight].reversed);
    if (expert.depthwise.kernel == 5) {
      depthwise_of_strip<T, 5>(own[0], mirrored, strip.first_y, strip.x, sums.of);
    } else {
      depthwise_of_strip<T, 3>(own[0], mirrored, strip.first_y, strip.x, sums.of);
    }
    return;
  }
  const Window<T> direct = window(kInputGradient);
#pragma unroll
  for (int out = 0; out < kStrip; ++out) {
    float values[kLanes<T>];
    direct.load(strip.first_y + out, strip.x, values);
#pragma unroll
    for (int i = 0; i < kLanes<T>; ++i) sums.of[out][i] += values[i];
  }
}

}  // namespace codmoe::ops::cuda
