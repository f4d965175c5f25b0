#include <algorithm>

#include "column_sums.h"
#include "launch.h"
#include "pairs.cuh"
#include "previous_kernel.cuh"

namespace codmoe::ops::cuda {

namespace {

constexpr int kLanes = 32;  ///< columns, or pairs of them, of a block
constexpr int kGroups = 8;  ///< that share the rows of a block
constexpr int kPartialGroups = 32;
constexpr int kUnroll = 8;
constexpr int64_t kParts = 264;  ///< blocks of the same columns: twice the H100's multiprocessors

__global__ void __launch_bounds__(kLanes* kPartialGroups)
    sum_partials_kernel(const float* partial, int count, int columns, float* sums) {
  __shared__ float shared[kPartialGroups][kLanes];
  wait_for_previous_kernel();
  const int column = static_cast<int>(blockIdx.x) * kLanes + static_cast<int>(threadIdx.x);
  float sum = 0.0F;
  if (column < columns) {
#pragma unroll 4
    for (int i = static_cast<int>(threadIdx.y); i < count; i += kPartialGroups) {
      sum += partial[static_cast<int64_t>(i) * columns + column];
    }
  }
  shared[threadIdx.y][threadIdx.x] = sum;
  __syncthreads();
  if (threadIdx.y > 0 || column >= columns) return;
  float total = 0.0F;
#pragma unroll
  for (int g = 0; g < kPartialGroups; ++g) total += shared[g][threadIdx.x];
  sums[column] = total;
}

template <class T>
__global__ void __launch_bounds__(kLanes* kGroups)
    column_sums_kernel(const T* x, int64_t rows, int64_t columns, float* partial) {
  __shared__ float2 shared[kGroups][kLanes];
  allow_next_kernel();
  const int64_t column = 2 * (static_cast<int64_t>(blockIdx.y) * kLanes + threadIdx.x);
  const int64_t step = static_cast<int64_t>(gridDim.x) * kGroups;
  float2 sum{};
  if (column < columns) {
    int64_t row = static_cast<int64_t>(blockIdx.x) * kGroups + threadIdx.y;
    for (; row + (kUnroll - 1) * step < rows; row += kUnroll * step) {
      float2 some[kUnroll];
#pragma unroll
      for (int i = 0; i < kUnroll; ++i) some[i] = load_pair(x + (row + i * step) * columns + column);
#pragma unroll
      for (int i = 0; i < kUnroll; ++i) sum += some[i];
    }
    for (; row < rows; row += step) sum += load_pair(x + row * columns + column);
  }
  shared[threadIdx.y][threadIdx.x] = sum;
  __syncthreads();
  if (threadIdx.y > 0 || column >= columns) return;
  float2 total{};
#pragma unroll
  for (int g = 0; g < kGroups; ++g) total += shared[g][threadIdx.x];
  store_pair(partial + static_cast<int64_t>(blockIdx.x) * columns + column, total);
}

template <class T>
cudaError_t launch(const ColumnSums& sums, int64_t parts, float* partial, cudaStream_t stream) {
  const dim3 grid(static_cast<unsigned>(parts), static_cast<unsigned>((sums.columns / 2 + kLanes - 1) / kLanes));
  column_sums_kernel<T>
      <<<grid, dim3(kLanes, kGroups), 0, stream>>>(static_cast<const T*>(sums.x), sums.rows, sums.columns, partial);
  return cudaGetLastError();
}

}  // namespace

cudaError_t sum_partials(const float* partial, int64_t count, int64_t columns, float* sums, cudaStream_t stream) {
  const auto blocks = static_cast<unsigned>((columns + kLanes - 1) / kLanes);
  return launch_after(sum_partials_kernel, blocks, dim3(kLanes, kPartialGroups), 0, stream, partial,
                      static_cast<int>(count), static_cast<int>(columns), sums);
}

int64_t column_sum_parts(const ColumnSums& sums) {
  return std::clamp<int64_t>((sums.rows + kGroups - 1) / kGroups, 1, kParts);
}

cudaError_t column_sums(const ColumnSums& sums, float* partial, float* out, cudaStream_t stream) {
  const auto parts = column_sum_parts(sums);
  const auto status =
      sums.bfloat16 ? launch<__nv_bfloat16>(sums, parts, partial, stream) : launch<float>(sums, parts, partial, stream);
  return status == cudaSuccess ? sum_partials(partial, parts, sums.columns, out, stream) : status;
}

}  // namespace codmoe::ops::cuda
