// An item is a strip of columns of one row; a thread computes it for four channels.
#include <type_traits>

#include "depthwise_conv_spread.h"
#include "depthwise_shapes.h"
#include "depthwise_units.cuh"
#include "quad_grid.cuh"
#include "quads.cuh"

namespace codmoe::ops::cuda {

namespace {

constexpr int kMaxTaps = 25;
constexpr int kMaxWidth = 64;  ///< quads of channels of a block
constexpr int64_t kBlocks = 2112;

__host__ __device__ int strips_of(const Extent& extent) { return (extent.width + kUnitColumns - 1) / kUnitColumns; }
__host__ __device__ int64_t item_count(const Extent& extent, int64_t batch) {
  return batch * extent.height * strips_of(extent);
}

struct Strip {
  int image, row, column;

  __device__ Strip(const Extent& extent, int64_t item) {
    const int number = static_cast<int>(item);
    column = number % strips_of(extent) * kUnitColumns;
    row = number / strips_of(extent) % extent.height;
    image = number / strips_of(extent) / extent.height;
  }
};

__device__ int64_t row_offset(const Extent& extent, int image, int row) {
  return (static_cast<int64_t>(image) * extent.height + row) * extent.width * extent.channels;
}

/// kCount quads of a row from `column` on; zero outside.
template <class T, int kCount>
__device__ void load_row(const T* map, const Extent& extent, const Strip& strip, int row, int column, int channels,
                         int channel, Quad (&values)[kCount]) {
  const T* from = map + row_offset(extent, strip.image, row) + channel;
  Packed<T> packed[kCount];
#pragma unroll
  for (int i = 0; i < kCount; ++i) {
    const int at = column + i;
    packed[i] = {};
    if (at >= 0 && at < extent.width) packed[i] = load_packed(from + static_cast<int64_t>(at) * channels);
  }
#pragma unroll
  for (int i = 0; i < kCount; ++i) values[i] = unpack(packed[i]);
}

template <class T>
__device__ void store_strip(T* map, const Extent& extent, const Strip& strip, int channels, int channel,
                            const Quad (&values)[kUnitColumns]) {
  T* to = map + row_offset(extent, strip.image, strip.row) + channel;
#pragma unroll
  for (int i = 0; i < kUnitColumns; ++i) {
    if (strip.column + i < extent.width) {
      store_quad(to + static_cast<int64_t>(strip.column + i) * channels, values[i]);
    }
  }
}

__device__ inline void add_product(Quad& sum, const Quad& a, const Quad& b) {
#pragma unroll
  for (int c = 0; c < 4; ++c) sum.at[c] = fmaf(a.at[c], b.at[c], sum.at[c]);
}

/// The block's filters in shared memory, [taps][quads].
using Filters = Quad[kMaxTaps][kMaxWidth];

__device__ void load_filters(const QuadGrid& grid, const float* weight, int taps, Filters& filters) {
  const int begin = static_cast<int>(blockIdx.y) * grid.width * 4;
  for (int i = static_cast<int>(threadIdx.x); i < taps * grid.width * 4; i += kQuadThreads) {
    const int channel = i / taps, tap = i % taps;
    if (begin + channel < grid.channels) {
      filters[tap][channel / 4].at[channel % 4] = weight[static_cast<int64_t>(begin + channel) * taps + tap];
    }
  }
  __syncthreads();
}

/// The gradient of x at stride 2. The column of y that x's column begins to read, doubled, is odd where kOdd.
template <class T, int kKernel, int kOdd>
__global__ void __launch_bounds__(kQuadThreads)
    spread_kernel(const QuadGrid grid, const DepthwiseConv conv, const Extent in, const Extent out, const T* grad_y,
                  T* grad_x) {
  __shared__ Filters filters;
  load_filters(grid, conv.weight, kKernel * kKernel, filters);
  const QuadPlace place(grid);
  if (place.idle) return;
  constexpr int kInputs = (kKernel + 3) / 2 + 1;
  for (int64_t item = place.item; item < item_count(in, conv.batch); item += place.step) {
    const Strip strip(in, item);
    const int first = (strip.column + conv.left - (kKernel - 1) - kOdd) / 2;  // exact: the sum is even
    Quad sums[kUnitColumns]{};
#pragma unroll
    for (int tap_row = 0; tap_row < kKernel; ++tap_row) {
      const int twice = strip.row + conv.top - tap_row;
      if (twice < 0 || twice % 2 != 0 || twice / 2 >= out.height) continue;
      Quad grads[kInputs];
      load_row(grad_y, out, strip, twice / 2, first, grid.channels, place.channel, grads);
#pragma unroll
      for (int tap = 0; tap < kKernel; ++tap) {
        const Quad filter = filters[tap_row * kKernel + tap][place.quad];
#pragma unroll
        for (int i = 0; i < kUnitColumns; ++i) {
          const int distance = kOdd + i + kKernel - 1 - tap;
          if (distance % 2 == 0) add_product(sums[i], filter, grads[distance / 2]);
        }
      }
    }
    store_strip(grad_x, in, strip, grid.channels, place.channel, sums);
  }
}

}  // namespace

cudaError_t depthwise_conv_spread(const DepthwiseConv& conv, const void* grad_y, void* grad_x, cudaStream_t stream) {
  const QuadGrid grid(conv.channels);
  const Extent in(conv.height, conv.width, conv.channels), out(conv.out_height, conv.out_width, conv.channels);
  const dim3 blocks = grid.grid(grid.blocks(item_count(in, conv.batch), 2, kBlocks));
  return with_types(conv, [&](auto type, auto kernel, auto) {
    using T = std::remove_pointer_t<decltype(type)>;
    constexpr int size = decltype(kernel)::value;
    const auto* from = static_cast<const T*>(grad_y);
    auto* to = static_cast<T*>(grad_x);
    if ((conv.left - (size - 1)) % 2 == 0) {
      spread_kernel<T, size, 0><<<blocks, kQuadThreads, 0, stream>>>(grid, conv, in, out, from, to);
    } else {
      spread_kernel<T, size, 1><<<blocks, kQuadThreads, 0, stream>>>(grid, conv, in, out, from, to);
    }
    return cudaGetLastError();
  });
}

}  // namespace codmoe::ops::cuda
