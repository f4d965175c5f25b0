// The first kernel of training: means of the images and copies of the parameters.
#pragma once

#include "choose.cuh"
#include "pack_tile.cuh"
#include "train_access.cuh"

namespace codmoe::ops::cuda {

/// pairs[c] = sum of x - origin and of its square over the split's positions; the origin is the image's first position.
template <class T>
__device__ void pool_split(const Shape& shape, const T* image, int split, float2* pairs, float* shared) {
  constexpr int n = kLanes<T>;
  const int chunks = shape.channels / n, rows = static_cast<int>(blockDim.x) / chunks;
  const int row = static_cast<int>(threadIdx.x) / chunks, channel = static_cast<int>(threadIdx.x) % chunks * n;
  const int first = shape.positions * split / kPoolSplits, last = shape.positions * (split + 1) / kPoolSplits;
  if (row < rows) {
    float origin[n], total[n] = {}, square[n] = {};
    load_chunk(image + channel, origin);
#pragma unroll 4
    for (int p = first + row; p < last; p += rows) {
      float values[n];
      load_chunk(image + static_cast<int64_t>(p) * shape.channels + channel, values);
#pragma unroll
      for (int i = 0; i < n; ++i) {
        const float value = values[i] - origin[i];
        total[i] += value;
        square[i] += value * value;
      }
    }
#pragma unroll
    for (int i = 0; i < n; ++i) {
      shared[row * shape.channels + channel + i] = total[i];
      shared[(rows + row) * shape.channels + channel + i] = square[i];
    }
  }
  __syncthreads();
  for (int c = static_cast<int>(threadIdx.x); c < shape.channels; c += static_cast<int>(blockDim.x)) {
    float2 sum{0.0F, 0.0F};
    for (int r = 0; r < rows; ++r) {
      sum.x += shared[r * shape.channels + c];
      sum.y += shared[(rows + r) * shape.channels + c];
    }
    pairs[c] = sum;
  }
}

/// Blocks beyond B * kPoolSplits copy parameters.
template <class T>
__global__ void __launch_bounds__(kThreads)
    begin_kernel(const __grid_constant__ Training training, TrainingMemory memory) {
  __shared__ float shared[2 * kThreads * kLanes<__nv_bfloat16>];
  const Shape& shape = training.shape;
  const int block = static_cast<int>(blockIdx.x), images = shape.batch * kPoolSplits;
  for (int i = block * kThreads + static_cast<int>(threadIdx.x); i < memory.forward_splits;
       i += static_cast<int>(gridDim.x) * kThreads)
    reinterpret_cast<int*>(memory.work + memory.counters)[i] = 0;
  if (block < images) {
    const int image = block / kPoolSplits;
    pool_split<T>(shape,
                  static_cast<const T*>(training.x) + static_cast<int64_t>(image) * shape.positions * shape.channels,
                  block % kPoolSplits,
                  pairs_at(memory.work, memory.pooled) + static_cast<int64_t>(block) * shape.channels, shared);
    return;
  }
  const int tile = block - images;
  const Parameter& parameter =
      training.parameters[parameter_of_tile(training.parameters, training.parameter_count, tile)];
  pack_tile<T>(parameter, reinterpret_cast<T*>(memory.saved + memory.weights), floats_at(memory.saved, memory.vectors),
               tile - parameter.first_tile, shared);
}

/// Choice of one image; grid B.
template <class T>
__global__ void __launch_bounds__(kThreads)
    route_kernel(const __grid_constant__ Training training, TrainingMemory memory) {
  __shared__ float mean[kMaxChannels];
  __shared__ Chosen chosen;
  const Shape& shape = training.shape;
  const int image = static_cast<int>(blockIdx.x);
  const auto count = static_cast<float>(shape.positions);
  const T* origin = static_cast<const T*>(training.x) + static_cast<int64_t>(image) * shape.positions * shape.channels;
  wait_for_previous_kernel();
  const float2* pairs =
      pairs_at(memory.work, memory.pooled) + static_cast<int64_t>(image) * kPoolSplits * shape.channels;
  for (int c = static_cast<int>(threadIdx.x); c < shape.channels; c += kThreads) {
    float2 total{0.0F, 0.0F};
#pragma unroll
    for (int split = 0; split < kPoolSplits; ++split) {
      const float2 pair = pairs[split * shape.channels + c];
      total.x += pair.x;
      total.y += pair.y;
    }
    const int64_t at = static_cast<int64_t>(image) * shape.channels + c;
    mean[c] = to_float(origin[c]) + total.x / count;
    training.choice.mean[at] = mean[c];
    floats_at(memory.saved, memory.second)[at] = fmaxf(total.y - total.x * total.x / count, 0.0F);
  }
  __syncthreads();
  choose_experts(shape, training.router, training.noise, image, mean, chosen);
  write_choice(shape, training.choice, image, chosen);
}

}  // namespace codmoe::ops::cuda
