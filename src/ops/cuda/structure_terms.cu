#include <algorithm>

#include "structure_terms.h"
#include "warp.cuh"

namespace codmoe::ops::cuda {

namespace {

constexpr int kThreads = 256;
constexpr int kPixelsPerThread = 16;

__device__ float sigmoid(float x) { return 1.0F / (1.0F + __expf(-x)); }

/// The sum over a block; valid in its first thread.
__device__ float sum_over_block(float value) {
  __shared__ float shared[kThreads / 32];
  value = sum_over_warp(value);
  __syncthreads();
  if (threadIdx.x % 32 == 0) shared[threadIdx.x / 32] = value;
  __syncthreads();
  if (threadIdx.x > 0) return 0.0F;
  float total = 0.0F;
#pragma unroll
  for (float some : shared) total += some;
  return total;
}

/// What an image's sums are made of.
struct Sums {
  float bce = 0.0F, weight = 0.0F, intersection = 0.0F, both = 0.0F;
};

/// Grid (parts, images).
__global__ void __launch_bounds__(kThreads) sums_kernel(const StructureMaps maps, float* partial) {
  const int64_t image = static_cast<int64_t>(blockIdx.y) * maps.pixels;
  const int64_t begin = static_cast<int64_t>(blockIdx.x) * kThreads * kPixelsPerThread + threadIdx.x;
  Sums sums;
#pragma unroll 4
  for (int i = 0; i < kPixelsPerThread; ++i) {
    const int64_t pixel = begin + i * kThreads;
    if (pixel >= maps.pixels) break;
    const float x = maps.logits[image + pixel], m = maps.mask[image + pixel], w = maps.weight[image + pixel];
    const float p = sigmoid(x), bce = fmaxf(x, 0.0F) - x * m + log1pf(__expf(-fabsf(x)));
    sums.bce += maps.weighted_bce ? w * bce : bce;
    sums.weight += w;
    sums.intersection += w * p * m;
    sums.both += w * (p + m);
  }
  float* own = partial + (static_cast<int64_t>(blockIdx.y) * gridDim.x + blockIdx.x) * kStructureSums;
  const float bce = sum_over_block(sums.bce), weight = sum_over_block(sums.weight);
  const float intersection = sum_over_block(sums.intersection), both = sum_over_block(sums.both);
  if (threadIdx.x == 0) {
    own[0] = bce;
    own[1] = weight;
    own[2] = intersection;
    own[3] = both;
  }
}

/// One block: each thread takes some images.
__global__ void __launch_bounds__(kThreads)
    finish_kernel(const StructureMaps maps, int parts, const float* partial, float* slopes, float* loss) {
  float total = 0.0F;
  for (int64_t image = threadIdx.x; image < maps.images; image += kThreads) {
    double sums[kStructureSums] = {};
    for (int part = 0; part < parts; ++part) {
#pragma unroll
      for (int i = 0; i < kStructureSums; ++i) sums[i] += partial[(image * parts + part) * kStructureSums + i];
    }
    const double divisor = maps.weighted_bce ? sums[1] : static_cast<double>(maps.pixels);
    const double overlap = sums[2] + 1.0, extent = sums[3] - sums[2] + 1.0;
    total += static_cast<float>(sums[0] / divisor + 1.0 - overlap / extent);
    float* own = slopes + image * kStructureSlopes;
    own[0] = static_cast<float>(1.0 / divisor);
    own[1] = static_cast<float>(overlap / (extent * extent));
    own[2] = static_cast<float>(1.0 / extent);
  }
  total = sum_over_block(total);
  if (threadIdx.x == 0) *loss = total / static_cast<float>(maps.images);
}

/// Grid (blocks of pixels, images).
__global__ void __launch_bounds__(kThreads)
    backward_kernel(const StructureMaps maps, const float* slopes, const float* grad, float* grad_logits) {
  const int64_t pixel = static_cast<int64_t>(blockIdx.x) * kThreads + threadIdx.x;
  if (pixel >= maps.pixels) return;
  const int64_t at = static_cast<int64_t>(blockIdx.y) * maps.pixels + pixel;
  const float* own = slopes + static_cast<int64_t>(blockIdx.y) * kStructureSlopes;
  const float m = maps.mask[at], w = maps.weight[at], p = sigmoid(maps.logits[at]);
  const float bce = own[0] * (maps.weighted_bce ? w : 1.0F) * (p - m);
  const float iou = w * (own[1] * (1.0F - m) - own[2] * m) * p * (1.0F - p);
  grad_logits[at] = *grad / static_cast<float>(maps.images) * (bce + iou);
}

}  // namespace

int64_t structure_parts(const StructureMaps& maps) {
  constexpr int64_t block = kThreads * kPixelsPerThread;
  return (maps.pixels + block - 1) / block;
}

cudaError_t structure_forward(const StructureMaps& maps, float* partial, float* slopes, float* loss,
                              cudaStream_t stream) {
  const auto parts = structure_parts(maps);
  const dim3 grid(static_cast<unsigned>(parts), static_cast<unsigned>(maps.images));
  sums_kernel<<<grid, kThreads, 0, stream>>>(maps, partial);
  finish_kernel<<<1, kThreads, 0, stream>>>(maps, static_cast<int>(parts), partial, slopes, loss);
  return cudaGetLastError();
}

cudaError_t structure_backward(const StructureMaps& maps, const float* slopes, const float* grad, float* grad_logits,
                               cudaStream_t stream) {
  const dim3 grid(static_cast<unsigned>((maps.pixels + kThreads - 1) / kThreads), static_cast<unsigned>(maps.images));
  backward_kernel<<<grid, kThreads, 0, stream>>>(maps, slopes, grad, grad_logits);
  return cudaGetLastError();
}

}  // namespace codmoe::ops::cuda
