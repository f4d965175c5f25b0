// A warp holds 64 channels, two a lane, and slides down a strip of kColumns columns: each row is read once, and adds to
// the three rows of results that it touches.
#include <algorithm>

#include "column_sums.h"
#include "depthwise_gelu.h"
#include "gelu.cuh"
#include "lanes.cuh"
#include "pairs.cuh"
#include "previous_kernel.cuh"

namespace codmoe::ops::cuda {

namespace {

constexpr int kColumns = 4;
constexpr int kRows = 44;  ///< of a strip
constexpr int kForwardWarps = 4;
constexpr int kBackwardWarps = 4;
constexpr int kBlocksPerProcessor = 4;  ///< of the backward
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
__global__ void __launch_bounds__(32 * kForwardWarps) forward_kernel(const DepthwiseGelu conv, T* y, T* slope) {
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
      const int64_t to =
          strip.image + (static_cast<int64_t>(row - 1) * conv.width + strip.column) * conv.channels + channel;
#pragma unroll
      for (int i = 0; i < kColumns; ++i) {
        if (strip.column + i >= conv.width) continue;
        const auto first = gelu_and_slope(above[i].x), second = gelu_and_slope(above[i].y);
        store_pair(y + to + i * conv.channels, {first.value, second.value});
        if (slope != nullptr) store_pair(slope + to + i * conv.channels, {first.slope, second.slope});
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

/// Inputs as they wait for the gradient of the weights: of bfloat16 maps in half the registers.
__device__ inline float2 keep(float2 pair, const float*) { return pair; }
__device__ inline __nv_bfloat162 keep(float2 pair, const __nv_bfloat16*) { return __float22bfloat162_rn(pair); }
__device__ inline float2 widen(float2 pair) { return pair; }
__device__ inline float2 widen(__nv_bfloat162 pair) { return __bfloat1622float2(pair); }

/// The inputs of three rows around a row of results.
template <class T>
class InputWindow {
 public:
  /// A row more, from a column left of the strip on; the oldest goes.
  __device__ void push(const DepthwiseGelu& conv, const Strip& strip, int row, float2 shift) {
    float2 inputs[kColumns + 2];
    load_row(conv, static_cast<const T*>(conv.x), strip, row, strip.column - 1, shift, inputs);
#pragma unroll
    for (int i = 0; i < kColumns + 2; ++i) {
      rows_[0][i] = rows_[1][i];
      rows_[1][i] = rows_[2][i];
      rows_[2][i] = keep(inputs[i], static_cast<const T*>(nullptr));
    }
  }
  __device__ float2 at(int row, int column) const { return widen(rows_[row][column]); }

 private:
  decltype(keep(float2{}, static_cast<const T*>(nullptr))) rows_[3][kColumns + 2]{};
};

/// Maps of the backward.
template <class T>
struct DepthwiseGradients {
  const T *grad_y, *slope;
  T* grad_x;
};

/// A row of gradients of the convolution's results: of those of y, and GELU's slopes.
template <class T, int kCount>
__device__ void load_gradients(const DepthwiseGelu& conv, const DepthwiseGradients<T>& maps, const Strip& strip,
                               int row, float2 (&grads)[kCount]) {
  const float2 zero{0.0F, 0.0F};
  float2 slopes[kCount];
  load_row(conv, maps.grad_y, strip, row, strip.column - 1, zero, grads);
  load_row(conv, maps.slope, strip, row, strip.column - 1, zero, slopes);
#pragma unroll
  for (int i = 0; i < kCount; ++i) grads[i] = grads[i] * slopes[i];
}

template <class T>
__device__ void strip_back(const DepthwiseGelu& conv, const DepthwiseGradients<T>& maps, const Strip& strip,
                           const Taps& taps, float2 shift, GradientSums& sums) {
  const float2 zero{0.0F, 0.0F};
  const int channel = channel_of(), end = strip.row + strip.rows;
  InputWindow<T> inputs;
  inputs.push(conv, strip, strip.row - 1, shift);
  inputs.push(conv, strip, strip.row, shift);
  float2 over[kColumns], same[kColumns], under[kColumns];  // gradients of the inputs of rows row - 1, row, row + 1
#pragma unroll
  for (int i = 0; i < kColumns; ++i) over[i] = same[i] = under[i] = zero;

    // Results a row outside the strip have gradients for its inputs.
#pragma unroll 1
  for (int row = strip.row - 1; row <= end; ++row) {
    float2 grads[kColumns + 2];
    load_gradients(conv, maps, strip, row, grads);
    // Results of a row read inputs of the rows around it by the taps 0 to 2, and hand their gradients back so.
#pragma unroll
    for (int i = 0; i < kColumns; ++i) {
#pragma unroll
      for (int tap = 0; tap < 3; ++tap) {
        add_product(over[i], taps.at[0][tap], grads[i + 2 - tap]);
        add_product(same[i], taps.at[1][tap], grads[i + 2 - tap]);
        add_product(under[i], taps.at[2][tap], grads[i + 2 - tap]);
      }
    }
    if (row >= strip.row && row < end) {
#pragma unroll
      for (int i = 0; i < kColumns; ++i) {
        sums.bias += grads[i + 1];
#pragma unroll
        for (int tap = 0; tap < 9; ++tap) {
          add_product(sums.weight.at[tap / 3][tap % 3], grads[i + 1], inputs.at(tap / 3, i + tap % 3));
        }
      }
    }
    if (row > strip.row) {
      T* to = maps.grad_x + strip.image + (static_cast<int64_t>(row - 1) * conv.width + strip.column) * conv.channels +
              channel;
#pragma unroll
      for (int i = 0; i < kColumns; ++i) {
        if (strip.column + i >= conv.width) continue;
        store_pair(to + i * conv.channels, over[i]);
        sums.x_bias += over[i];
      }
    }
    move_up(over, same, under, zero);
    inputs.push(conv, strip, row + 2, shift);
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
    backward_kernel(const DepthwiseGelu conv, const DepthwiseGradients<T> maps, float* partial) {
  __shared__ float2 shared[kBackwardWarps][32];
  allow_next_kernel();
  const int channel = channel_of();
  const Taps taps = load_taps(conv.weight, channel);
  const float2 shift = load_pair(conv.x_bias + channel);
  GradientSums sums{};
  const int64_t step = static_cast<int64_t>(gridDim.x) * kBackwardWarps, strips = strip_count(conv);
  for (int64_t i = static_cast<int64_t>(blockIdx.x) * kBackwardWarps + warp_of(); i < strips; i += step) {
    strip_back(conv, maps, strip_at(conv, i), taps, shift, sums);
  }
  float* own = partial + static_cast<int64_t>(blockIdx.x) * kDepthwiseSums * conv.channels + channel;
#pragma unroll
  for (int tap = 0; tap < 9; ++tap) write_sum(sums.weight.at[tap / 3][tap % 3], own + tap * conv.channels, shared);
  write_sum(sums.bias, own + 9 * conv.channels, shared);
  write_sum(sums.x_bias, own + 10 * conv.channels, shared);
}

template <class T>
cudaError_t launch_forward(const DepthwiseGelu& conv, void* y, void* slope, cudaStream_t stream) {
  const dim3 grid(static_cast<unsigned>((strip_count(conv) + kForwardWarps - 1) / kForwardWarps),
                  static_cast<unsigned>(conv.channels / 64));
  forward_kernel<T><<<grid, 32 * kForwardWarps, 0, stream>>>(conv, static_cast<T*>(y), static_cast<T*>(slope));
  return cudaGetLastError();
}

template <class T>
cudaError_t launch_backward(const DepthwiseGelu& conv, const DepthwiseBackward& maps, float* partial,
                            cudaStream_t stream) {
  const dim3 grid(static_cast<unsigned>(depthwise_gelu_parts(conv)), static_cast<unsigned>(conv.channels / 64));
  const DepthwiseGradients<T> typed{static_cast<const T*>(maps.grad_y), static_cast<const T*>(maps.slope),
                                    static_cast<T*>(maps.grad_x)};
  backward_kernel<T><<<grid, 32 * kBackwardWarps, 0, stream>>>(conv, typed, partial);
  return cudaGetLastError();
}

}  // namespace

cudaError_t depthwise_gelu_forward(const DepthwiseGelu& conv, void* y, void* slope, cudaStream_t stream) {
  return conv.bfloat16 ? launch_forward<__nv_bfloat16>(conv, y, slope, stream)
                       : launch_forward<float>(conv, y, slope, stream);
}

int64_t depthwise_gelu_parts(const DepthwiseGelu& conv) {
  const int64_t blocks = (strip_count(conv) + kBackwardWarps - 1) / kBackwardWarps;
  return std::clamp<int64_t>(kProcessors * kBlocksPerProcessor * 64 / conv.channels, 1, blocks);
}

cudaError_t depthwise_gelu_backward(const DepthwiseGelu& conv, const DepthwiseBackward& maps, float* partial,
                                    float* grad_parameters, cudaStream_t stream) {
  const auto status = conv.bfloat16 ? launch_backward<__nv_bfloat16>(conv, maps, partial, stream)
                                    : launch_backward<float>(conv, maps, partial, stream);
  if (status != cudaSuccess) return status;
  return sum_partials(partial, depthwise_gelu_parts(conv), kDepthwiseSums * conv.channels, grad_parameters, stream);
}

}  // namespace codmoe::ops::cuda
