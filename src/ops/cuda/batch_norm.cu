// Sums over rows are taken in parts, in the same order each time.
#include <algorithm>
#include <type_traits>

#include "batch_norm.h"
#include "gelu.cuh"
#include "launch.h"
#include "previous_kernel.cuh"
#include "quad_grid.cuh"
#include "quads.cuh"

namespace codmoe::ops::cuda {

namespace {

constexpr int kUnroll = 4;
constexpr int64_t kBlocks = 528;  ///< of sums: four a multiprocessor of the H100
constexpr int64_t kBlocksOfMaps = 1056;
constexpr int kLanes = 32;   ///< channels of a block that sums partial sums
constexpr int kGroups = 32;  ///< that share the parts there

int64_t blocks_of(const BatchNorm& norm, int64_t most) {
  return QuadGrid(norm.channels).blocks(norm.samples * norm.area, kUnroll, most);
}

__device__ inline bool counts(const BatchNorm& norm, int64_t row) {
  return norm.mask == nullptr || norm.mask[static_cast<int>(row) / static_cast<int>(norm.area)];
}

/// Calls use(row, values...) for a thread's rows, several loads ahead.
template <class Load, class Use>
__device__ void for_rows(const QuadPlace& place, int64_t rows, Load&& load, Use&& use) {
  int64_t row = place.item;
  for (; row + (kUnroll - 1) * place.step < rows; row += kUnroll * place.step) {
    decltype(load(row)) some[kUnroll];
#pragma unroll
    for (int i = 0; i < kUnroll; ++i) some[i] = load(row + i * place.step);
#pragma unroll
    for (int i = 0; i < kUnroll; ++i) use(row + i * place.step, some[i]);
  }
  for (; row < rows; row += place.step) use(row, load(row));
}

/// The block's sums of two values a channel, to its place in `partial` [parts, 2, channels].
__device__ void write_partial(const QuadGrid& grid, const Quad& first, const Quad& second, float* partial) {
  const Quad both[2] = {first, second};
  sum_block(grid, both, partial + static_cast<int64_t>(blockIdx.x) * 2 * grid.channels);
}

/// Sums of the differences to the first row, and of their squares: differences to zero would cancel.
template <class T>
__global__ void __launch_bounds__(kQuadThreads) sums_kernel(const BatchNorm norm, const QuadGrid grid, float* partial) {
  wait_for_previous_kernel();
  const QuadPlace place(grid);
  const T* x = static_cast<const T*>(norm.x);
  Quad sum{}, squares{};
  if (!place.idle) {
    const Quad origin = load_quad(x + place.channel);
    for_rows(
        place, norm.samples * norm.area,
        [&](int64_t row) { return load_packed(x + row * norm.channels + place.channel); },
        [&](int64_t row, const Packed<T>& packed) {
          if (!counts(norm, row)) return;
          const Quad values = unpack(packed);
#pragma unroll
          for (int i = 0; i < 4; ++i) {
            const float difference = values.at[i] - origin.at[i];
            sum.at[i] += difference;
            squares.at[i] = fmaf(difference, difference, squares.at[i]);
          }
        });
  }
  write_partial(grid, sum, squares, partial);
}

/// A channel's two sums over the parts; the same for all groups of threads.
__device__ float2 sum_parts(const BatchNorm& norm, const float* partial, int parts, int channel) {
  __shared__ float2 shared[kGroups][kLanes];
  float2 sum{};
  if (channel < norm.channels) {
#pragma unroll 4
    for (int i = static_cast<int>(threadIdx.y); i < parts; i += kGroups) {
      const float* own = partial + static_cast<int64_t>(i) * 2 * norm.channels + channel;
      sum.x += own[0];
      sum.y += own[norm.channels];
    }
  }
  shared[threadIdx.y][threadIdx.x] = sum;
  __syncthreads();
  float2 total{};
#pragma unroll
  for (int g = 0; g < kGroups; ++g) {
    total.x += shared[g][threadIdx.x].x;
    total.y += shared[g][threadIdx.x].y;
  }
  return total;
}

/// Rows that count.
__device__ float count_rows(const BatchNorm& norm) {
  if (norm.mask == nullptr) return static_cast<float>(norm.samples * norm.area);
  int64_t chosen = 0;
  for (int64_t b = 0; b < norm.samples; ++b) chosen += norm.mask[b] ? 1 : 0;
  return static_cast<float>(chosen * norm.area);
}

__device__ int channel_of_lane() { return static_cast<int>(blockIdx.x) * kLanes + static_cast<int>(threadIdx.x); }

__device__ inline float value_at(const BatchNorm& norm, int channel) {
  return norm.bfloat16 ? __bfloat162float(static_cast<const __nv_bfloat16*>(norm.x)[channel])
                       : static_cast<const float*>(norm.x)[channel];
}

__global__ void __launch_bounds__(kLanes* kGroups)
    statistics_kernel(const BatchNorm norm, const RunningStatistics running, const float* partial, int parts,
                      float* table) {
  wait_for_previous_kernel();
  const int channel = channel_of_lane();
  const float2 sums = sum_parts(norm, partial, parts, channel);
  if (threadIdx.y > 0 || channel >= norm.channels) return;
  const float count = count_rows(norm), divisor = fmaxf(count, 1.0F);
  const bool enough = count > 1.0F;
  const float offset = sums.x / divisor;
  const float mean = value_at(norm, channel) + offset;
  float squares = sums.y - offset * sums.x;
  if (squares < 0.0F) squares = 0.0F;  // by rounding
  const float inverse = enough ? rsqrtf(squares / divisor + running.eps) : 0.0F;
  const float scale = norm.weight[channel] * inverse;
  table[kNormMean * norm.channels + channel] = mean;
  table[kNormInverse * norm.channels + channel] = inverse;
  table[kNormScale * norm.channels + channel] = scale;
  table[kNormShift * norm.channels + channel] = norm.bias[channel] - mean * scale;
  if (!enough) return;
  if (running.mean != nullptr) running.mean[channel] += running.momentum * (mean - running.mean[channel]);
  if (running.var != nullptr) {
    running.var[channel] += running.momentum * (squares / (count - 1.0F) - running.var[channel]);
  }
  if (running.batches != nullptr && channel == 0) *running.batches += 1;
}

/// NaN stays NaN, which fmaxf would hide.
template <NormActivation kActivation>
__device__ inline float activate(float z) {
  if constexpr (kActivation == NormActivation::relu) return z < 0.0F ? 0.0F : z;
  if constexpr (kActivation == NormActivation::relu6) return z < 0.0F ? 0.0F : z > 6.0F ? 6.0F : z;
  if constexpr (kActivation == NormActivation::gelu) return gelu(z);
  return z;
}

template <NormActivation kActivation>
__device__ inline float slope(float z) {
  if constexpr (kActivation == NormActivation::relu) return z > 0.0F ? 1.0F : 0.0F;
  if constexpr (kActivation == NormActivation::relu6) return z > 0.0F && z < 6.0F ? 1.0F : 0.0F;
  if constexpr (kActivation == NormActivation::gelu) return gelu_gradient(z);
  return 1.0F;
}

template <class T, NormActivation kActivation>
__global__ void __launch_bounds__(kQuadThreads)
    apply_kernel(const BatchNorm norm, const QuadGrid grid, const float* table, T* y) {
  wait_for_previous_kernel();
  const QuadPlace place(grid);
  if (place.idle) return;
  const T* x = static_cast<const T*>(norm.x);
  const Quad scale = load_quad(table + kNormScale * norm.channels + place.channel);
  const Quad shift = load_quad(table + kNormShift * norm.channels + place.channel);
  for_rows(
      place, norm.samples * norm.area,
      [&](int64_t row) { return load_packed(x + row * norm.channels + place.channel); },
      [&](int64_t row, const Packed<T>& packed) {
        Quad values = unpack(packed);
#pragma unroll
        for (int i = 0; i < 4; ++i) {
          values.at[i] = activate<kActivation>(fmaf(values.at[i], scale.at[i], shift.at[i]));
        }
        store_quad(y + row * norm.channels + place.channel, values);
      });
}

/// A row of x and of the gradient of the result.
template <class T>
struct RowPair {
  Packed<T> x, grad;
};

/// Sums of the gradients of the norm's results, and of their products with x - mean.
template <class T, NormActivation kActivation>
__global__ void __launch_bounds__(kQuadThreads)
    gradient_sums_kernel(const BatchNorm norm, const QuadGrid grid, const float* table, const T* grad_y,
                         float* partial) {
  wait_for_previous_kernel();
  const QuadPlace place(grid);
  const T* x = static_cast<const T*>(norm.x);
  Quad sum{}, products{};
  if (!place.idle) {
    const Quad mean = load_quad(table + kNormMean * norm.channels + place.channel);
    const Quad scale = load_quad(table + kNormScale * norm.channels + place.channel);
    const Quad shift = load_quad(table + kNormShift * norm.channels + place.channel);
    for_rows(
        place, norm.samples * norm.area,
        [&](int64_t row) {
          const int64_t at = row * norm.channels + place.channel;
          return RowPair<T>{load_packed(x + at), load_packed(grad_y + at)};
        },
        [&](int64_t, const RowPair<T>& pair) {
          const Quad values = unpack(pair.x), grads = unpack(pair.grad);
#pragma unroll
          for (int i = 0; i < 4; ++i) {
            const float grad = grads.at[i] * slope<kActivation>(fmaf(values.at[i], scale.at[i], shift.at[i]));
            sum.at[i] += grad;
            products.at[i] = fmaf(grad, values.at[i] - mean.at[i], products.at[i]);
          }
        });
  }
  write_partial(grid, sum, products, partial);
}

/// Every result hangs on mean and deviation; each row that counts takes its share of what comes back through them.
__global__ void __launch_bounds__(kLanes* kGroups)
    factors_kernel(const BatchNorm norm, const float* table, const float* partial, int parts, float* grad_parameters,
                   float* factors) {
  wait_for_previous_kernel();
  const int channel = channel_of_lane();
  const float2 sums = sum_parts(norm, partial, parts, channel);
  if (threadIdx.y > 0 || channel >= norm.channels) return;
  const float divisor = fmaxf(count_rows(norm), 1.0F);
  const float inverse = table[kNormInverse * norm.channels + channel];
  const float share = table[kNormScale * norm.channels + channel] / divisor;
  grad_parameters[channel] = sums.y * inverse;
  grad_parameters[norm.channels + channel] = sums.x;
  factors[channel] = share * sums.x;
  factors[norm.channels + channel] = share * inverse * inverse * sums.y;
}

template <class T, NormActivation kActivation>
__global__ void __launch_bounds__(kQuadThreads)
    input_gradient_kernel(const BatchNorm norm, const QuadGrid grid, const float* table, const float* factors,
                          const T* grad_y, T* grad_x) {
  wait_for_previous_kernel();
  const QuadPlace place(grid);
  if (place.idle) return;
  const T* x = static_cast<const T*>(norm.x);
  const Quad mean = load_quad(table + kNormMean * norm.channels + place.channel);
  const Quad scale = load_quad(table + kNormScale * norm.channels + place.channel);
  const Quad shift = load_quad(table + kNormShift * norm.channels + place.channel);
  const Quad level = load_quad(factors + place.channel);
  const Quad tilt = load_quad(factors + norm.channels + place.channel);
  for_rows(
      place, norm.samples * norm.area,
      [&](int64_t row) {
        const int64_t at = row * norm.channels + place.channel;
        return RowPair<T>{load_packed(x + at), load_packed(grad_y + at)};
      },
      [&](int64_t row, const RowPair<T>& pair) {
        const Quad values = unpack(pair.x);
        Quad grads = unpack(pair.grad);
        const bool counted = counts(norm, row);
#pragma unroll
        for (int i = 0; i < 4; ++i) {
          const float back = counted ? fmaf(tilt.at[i], values.at[i] - mean.at[i], level.at[i]) : 0.0F;
          const float inner = slope<kActivation>(fmaf(values.at[i], scale.at[i], shift.at[i]));
          grads.at[i] = fmaf(scale.at[i] * grads.at[i], inner, -back);
        }
        store_quad(grad_x + row * norm.channels + place.channel, grads);
      });
}

/// Calls `launch` with a null pointer of the maps' type and the activation as a constant.
template <class T, class Launch>
cudaError_t with_activation(const BatchNorm& norm, Launch&& launch) {
  T* const type = nullptr;
  switch (norm.activation) {
    case NormActivation::none:
      return launch(type, std::integral_constant<NormActivation, NormActivation::none>());
    case NormActivation::relu:
      return launch(type, std::integral_constant<NormActivation, NormActivation::relu>());
    case NormActivation::relu6:
      return launch(type, std::integral_constant<NormActivation, NormActivation::relu6>());
    case NormActivation::gelu:
      return launch(type, std::integral_constant<NormActivation, NormActivation::gelu>());
  }
  return cudaErrorInvalidValue;
}

template <class Launch>
cudaError_t with_types(const BatchNorm& norm, Launch&& launch) {
  return norm.bfloat16 ? with_activation<__nv_bfloat16>(norm, launch) : with_activation<float>(norm, launch);
}

unsigned channel_blocks(const BatchNorm& norm) { return static_cast<unsigned>((norm.channels + kLanes - 1) / kLanes); }

}  // namespace

int64_t batch_norm_parts(const BatchNorm& norm) { return blocks_of(norm, kBlocks); }

cudaError_t batch_norm_forward(const BatchNorm& norm, const RunningStatistics& running, float* partial, float* table,
                               void* y, cudaStream_t stream) {
  const int64_t parts = batch_norm_parts(norm);
  const QuadGrid grid(norm.channels);
  return with_types(norm, [&](auto type, auto activation) {
    using T = std::remove_pointer_t<decltype(type)>;
    auto error = launch_after(sums_kernel<T>, grid.grid(parts), kQuadThreads, 0, stream, norm, grid, partial);
    if (error != cudaSuccess) return error;
    error = launch_after(statistics_kernel, channel_blocks(norm), dim3(kLanes, kGroups), 0, stream, norm, running,
                         partial, static_cast<int>(parts), table);
    if (error != cudaSuccess) return error;
    return launch_after(apply_kernel<T, decltype(activation)::value>, grid.grid(blocks_of(norm, kBlocksOfMaps)),
                        kQuadThreads, 0, stream, norm, grid, table, static_cast<T*>(y));
  });
}

cudaError_t batch_norm_backward(const BatchNorm& norm, const float* table, const BatchNormGradients& gradients,
                                float* partial, cudaStream_t stream) {
  const int64_t parts = batch_norm_parts(norm);
  const QuadGrid grid(norm.channels);
  return with_types(norm, [&](auto type, auto activation) {
    using T = std::remove_pointer_t<decltype(type)>;
    constexpr auto act = decltype(activation)::value;
    const T* grad_y = static_cast<const T*>(gradients.grad_y);
    auto error = launch_after(gradient_sums_kernel<T, act>, grid.grid(parts), kQuadThreads, 0, stream, norm, grid,
                              table, grad_y, partial);
    if (error != cudaSuccess) return error;
    error = launch_after(factors_kernel, channel_blocks(norm), dim3(kLanes, kGroups), 0, stream, norm, table, partial,
                         static_cast<int>(parts), gradients.grad_parameters, gradients.factors);
    if (error != cudaSuccess) return error;
    return launch_after(input_gradient_kernel<T, act>, grid.grid(blocks_of(norm, kBlocksOfMaps)), kQuadThreads, 0,
                        stream, norm, grid, table, gradients.factors, grad_y, static_cast<T*>(gradients.grad_x));
  });
}

}  // namespace codmoe::ops::cuda
