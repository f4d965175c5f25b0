// A warp holds 64 channels, two a lane, and slides down a strip of kColumns columns: each row is read once, and adds to
// the three rows of results that it touches.
#include <algorithm>

#include "column_sums.h"
#include "depthwise_gelu.h"
#include "gelu.cuh"
#include "pairs.cuh"

namespace codmoe::ops::cuda {

namespace {

constexpr int kColumns = 4;
constexpr int kRows = 22;  ///< of a strip
constexpr int kForwardWarps = 8;
constexpr int kBackwardWarps = 4;
constexpr int kBlocksPerProcessor = 3;  ///< of the backward
constexpr int kProcessors = 132;        ///< of the H100

/// Where a warp works.
struct Strip {
  int64_t image;  ///< of its first element
  int row, rows;
  int column;
};

__host__ __device__ int column_groups(const DepthwiseGelu& conv) {
  return static_cast<int>((conv.width + kColumns - 1) / kColumns);
}
__host__ __device__ int row_groups(const DepthwiseGelu& conv) {
  return static_cast<int>((conv.height + kRows - 1) / kRows);
}
__host__ __device__ int64_t strip_count(const DepthwiseGelu& conv) {
  return conv.batch * row_groups(conv) * column_groups(conv);
}

/// Neighbouring numbers are neighbouring columns.
__device__ Strip strip_at(const DepthwiseGelu& conv, int64_t number) {
  const int groups = column_groups(conv);
  const int column = static_cast<int>(number % groups) * kColumns;
  number /= groups;
  const int row = static_cast<int>(number % row_groups(conv)) * kRows;
  return {number / row_groups(conv) * conv.height * conv.width * conv.channels, row,
          min(kRows, static_cast<int>(conv.height) - row), column};
}

__device__ int lane_of() { return static_cast<int>(threadIdx.x) % 32; }
__device__ int warp_of() { return static_cast<int>(threadIdx.x) / 32; }
__device__ int channel_of() { return static_cast<int>(blockIdx.y) * 64 + 2 * lane_of(); }

struct Taps {
  float2 at[3][3];
};
__device__ Taps load_taps(const float* weight, int channel) {
  Taps taps;
#pragma unroll
  for (int tap = 0; tap < 9; ++tap)
    taps.at[tap / 3][tap % 3] = {weight[9 * channel + tap], weight[9 * channel + 9 + tap]};
  return taps;
}

/// Row `row` of a map, kCount columns from `column` on; zero outside the map, to which `shift` isn't added.
template <class T, int kCount>
__device__ void load_row(const DepthwiseGelu& conv, const T* map, const Strip& strip, int row, int column, float2 shift,
                         float2 (&values)[kCount]) {
  const bool inside = row >= 0 && row < conv.height;
  const T* from = map + strip.image + static_cast<int64_t>(row) * conv.width * conv.channels + channel_of();
#pragma unroll
  for (int i = 0; i < kCount; ++i) {
    const int at = column + i;
    values[i] = {0.0F, 0.0F};
    if (inside && at >= 0 && at < conv.width) values[i] = load_pair(from + at * conv.channels) + shift;
  }
}

/// Adds a row of inputs, which begins a column further left than the results, to the results of three rows.
template <int kCount>
__device__ void add_row(const Taps& taps, const float2 (&inputs)[kCount + 2], float2 (&above)[kCount],
                        float2 (&level)[kCount], float2 (&below)[kCount]) {
#pragma unroll
  for (int i = 0; i < kCount; ++i) {
#pragma unroll
    for (int tap = 0; tap < 3; ++tap) {
      add_product(above[i], taps.at[2][tap], inputs[i + tap]);
      add_product(level[i], taps.at[1][tap], inputs[i + tap]);
      add_product(below[i], taps.at[0][tap], inputs[i + tap]);
    }
  }
}

template <int kCount>
__device__ void move_up(float2 (&above)[kCount], float2 (&level)[kCount], float2 (&below)[kCount], float2 begin) {
#pragma unroll
  for (int i = 0; i < kCount; ++i) {
    above[i] = level[i];
    level[i] = below[i];
    below[i] = begin;
  }
}

template <class T>
__global__ void __launch_bounds__(32 * kForwardWarps) forward_kernel(const DepthwiseGelu conv, T* y) {
  const int64_t number = static_cast<int64_t>(blockIdx.x) * kForwardWarps + warp_of();
  if (number >= strip_count(conv)) return;
  const Strip strip = strip_at(conv, number);
  const int channel = channel_of();
  const Taps taps = load_taps(conv.weight, channel);
  const float2 shift = load_pair(conv.x_bias + channel), bias = load_pair(conv.bias + channel);
  float2 above[kColumns], level[kColumns], below[kColumns];
#pragma unroll
  for (int i = 0; i < kColumns; ++i) above[i] = level[i] = below[i] = bias;
  for (int row = strip.row - 1; row <= strip.row + strip.rows; ++row) {
    float2 inputs[kColumns + 2];
    load_row(conv, static_cast<const T*>(conv.x), strip, row, strip.column - 1, shift, inputs);
    add_row<kColumns>(taps, inputs, above, level, below);
    if (row > strip.row) {
      T* to = y + strip.image + (static_cast<int64_t>(row - 1) * conv.width + strip.column) * conv.channels + channel;
#pragma unroll
      for (int i = 0; i < kColumns; ++i) {
        if (strip.column + i < conv.width) store_pair(to + i * conv.channels, {gelu(above[i].x), gelu(above[i].y)});
      }
    }
    move_up(above, level, below, bias);
  }
}

/// What a warp sums up for its channels over all its strips.
struct GradientSums {
  Taps weight;
  float2 bias, x_bias;
};

/// Three rows of inputs as the gradient of the weights needs them: a column more than the results on each side.
template <class T>
struct InputRows;
template <>
struct InputRows<float> {
  using Pair = float2;
  static __device__ Pair keep(float2 pair) { return pair; }
  static __device__ float2 read(Pair pair) { return pair; }
};
template <>
struct InputRows<__nv_bfloat16> {
  using Pair = __nv_bfloat162;  ///< half the registers; inputs are rounded so anyway
  static __device__ Pair keep(float2 pair) { return __float22bfloat162_rn(pair); }
  static __device__ float2 read(Pair pair) { return __bfloat1622float2(pair); }
};

template <class T>
__device__ void strip_back(const DepthwiseGelu& conv, const Strip& strip, const T* grad_y, T* grad_x, const Taps& taps,
                           float2 shift, float2 bias, GradientSums& sums) {
  using Rows = InputRows<T>;
  constexpr int kWide = kColumns + 2;
  const int channel = channel_of();
  typename Rows::Pair kept[3][kWide];                      // inputs of rows row - 2, row - 1, row
  float2 above[kWide], level[kWide], below[kWide];         // the convolution's results of rows row - 1, row, row + 1
  float2 over[kColumns], same[kColumns], under[kColumns];  // gradients of inputs of rows row - 2, row - 1, row
  const float2 zero{0.0F, 0.0F};
#pragma unroll
  for (int i = 0; i < kWide; ++i) {
    above[i] = level[i] = below[i] = bias;
    kept[0][i] = kept[1][i] = kept[2][i] = Rows::keep(zero);
  }
#pragma unroll
  for (int i = 0; i < kColumns; ++i) over[i] = same[i] = under[i] = zero;

  // Gradients of results a row outside the strip count for its inputs, and inputs a row further for those.
  for (int row = strip.row - 2; row <= strip.row + strip.rows + 1; ++row) {
    float2 inputs[kWide + 2];
    load_row(conv, static_cast<const T*>(conv.x), strip, row, strip.column - 2, shift, inputs);
    add_row<kWide>(taps, inputs, above, level, below);
#pragma unroll
    for (int i = 0; i < kWide; ++i) {
      kept[0][i] = kept[1][i];
      kept[1][i] = kept[2][i];
      kept[2][i] = Rows::keep(inputs[i + 1]);
    }
    if (row >= strip.row) {  // results of row - 1 are whole
      float2 grads[kWide];
      load_row(conv, grad_y, strip, row - 1, strip.column - 1, zero, grads);
#pragma unroll
      for (int i = 0; i < kWide; ++i) {
        grads[i] = grads[i] * float2{gelu_gradient(above[i].x), gelu_gradient(above[i].y)};
      }
      // Results of row r read inputs of rows r - 1 to r + 1 by the taps 0 to 2, and hand their gradients back so.
#pragma unroll
      for (int i = 0; i < kColumns; ++i) {
#pragma unroll
        for (int tap = 0; tap < 3; ++tap) {
          add_product(over[i], taps.at[0][tap], grads[i + 2 - tap]);
          add_product(same[i], taps.at[1][tap], grads[i + 2 - tap]);
          add_product(under[i], taps.at[2][tap], grads[i + 2 - tap]);
        }
      }
      if (row > strip.row && row <= strip.row + strip.rows) {  // a row of the strip's own
#pragma unroll
        for (int i = 0; i < kColumns; ++i) {
          sums.bias += grads[i + 1];
#pragma unroll
          for (int tap = 0; tap < 9; ++tap) {
            add_product(sums.weight.at[tap / 3][tap % 3], grads[i + 1], Rows::read(kept[tap / 3][i + tap % 3]));
          }
        }
      }
      if (row >= strip.row + 2) {
        T* to = grad_x + strip.image + (static_cast<int64_t>(row - 2) * conv.width + strip.column) * conv.channels +
                channel;
#pragma unroll
        for (int i = 0; i < kColumns; ++i) {
          if (strip.column + i >= conv.width) continue;
          store_pair(to + i * conv.channels, over[i]);
          sums.x_bias += over[i];
        }
      }
      move_up(over, same, under, zero);
    }
    move_up(above, level, below, bias);
  }
}

/// The block's partial sum of one row of the gradients.
__device__ void write_sum(float2 sum, float* to, float2 (*shared)[32]) {
  __syncthreads();
  shared[warp_of()][lane_of()] = sum;
  __syncthreads();
  if (warp_of() > 0) return;
  float2 total{};
#pragma unroll
  for (int w = 0; w < kBackwardWarps; ++w) total += shared[w][lane_of()];
  store_pair(to, total);
}

template <class T>
__global__ void __launch_bounds__(32 * kBackwardWarps, kBlocksPerProcessor)
    backward_kernel(const DepthwiseGelu conv, const T* grad_y, T* grad_x, float* partial) {
  __shared__ float2 shared[kBackwardWarps][32];
  const int channel = channel_of();
  const Taps taps = load_taps(conv.weight, channel);
  const float2 shift = load_pair(conv.x_bias + channel), bias = load_pair(conv.bias + channel);
  GradientSums sums{};
  const int64_t step = static_cast<int64_t>(gridDim.x) * kBackwardWarps, strips = strip_count(conv);
  for (int64_t i = static_cast<int64_t>(blockIdx.x) * kBackwardWarps + warp_of(); i < strips; i += step) {
    strip_back(conv, strip_at(conv, i), grad_y, grad_x, taps, shift, bias, sums);
  }
  float* own = partial + static_cast<int64_t>(blockIdx.x) * kDepthwiseSums * conv.channels + channel;
#pragma unroll
  for (int tap = 0; tap < 9; ++tap) write_sum(sums.weight.at[tap / 3][tap % 3], own + tap * conv.channels, shared);
  write_sum(sums.bias, own + 9 * conv.channels, shared);
  write_sum(sums.x_bias, own + 10 * conv.channels, shared);
}

template <class T>
cudaError_t launch_forward(const DepthwiseGelu& conv, void* y, cudaStream_t stream) {
  const dim3 grid(static_cast<unsigned>((strip_count(conv) + kForwardWarps - 1) / kForwardWarps),
                  static_cast<unsigned>(conv.channels / 64));
  forward_kernel<T><<<grid, 32 * kForwardWarps, 0, stream>>>(conv, static_cast<T*>(y));
  return cudaGetLastError();
}

template <class T>
cudaError_t launch_backward(const DepthwiseGelu& conv, const void* grad_y, void* grad_x, float* partial,
                            cudaStream_t stream) {
  const dim3 grid(static_cast<unsigned>(depthwise_gelu_parts(conv)), static_cast<unsigned>(conv.channels / 64));
  backward_kernel<T>
      <<<grid, 32 * kBackwardWarps, 0, stream>>>(conv, static_cast<const T*>(grad_y), static_cast<T*>(grad_x), partial);
  return cudaGetLastError();
}

}  // namespace

cudaError_t depthwise_gelu_forward(const DepthwiseGelu& conv, void* y, cudaStream_t stream) {
  return conv.bfloat16 ? launch_forward<__nv_bfloat16>(conv, y, stream) : launch_forward<float>(conv, y, stream);
}

int64_t depthwise_gelu_parts(const DepthwiseGelu& conv) {
  const int64_t blocks = (strip_count(conv) + kBackwardWarps - 1) / kBackwardWarps;
  return std::clamp<int64_t>(kProcessors * kBlocksPerProcessor * 64 / conv.channels, 1, blocks);
}

cudaError_t depthwise_gelu_backward(const DepthwiseGelu& conv, const void* grad_y, void* grad_x, float* partial,
                                    float* grad_parameters, cudaStream_t stream) {
  const auto status = conv.bfloat16 ? launch_backward<__nv_bfloat16>(conv, grad_y, grad_x, partial, stream)
                                    : launch_backward<float>(conv, grad_y, grad_x, partial, stream);
  if (status != cudaSuccess) return status;
  return sum_partials(partial, depthwise_gelu_parts(conv), kDepthwiseSums * conv.channels, grad_parameters, stream);
}

}  // namespace codmoe::ops::cuda
