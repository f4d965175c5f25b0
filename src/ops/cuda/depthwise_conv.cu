// An item is a strip of four columns of one row; a thread computes it for four channels.
#include <type_traits>

#include "column_sums.h"
#include "depthwise_conv.h"
#include "previous_kernel.cuh"
#include "quad_grid.cuh"
#include "quads.cuh"

namespace codmoe::ops::cuda {

namespace {

constexpr int kColumns = 4;
constexpr int kMaxTaps = 25;
constexpr int kMaxWidth = 64;  ///< quads of channels of a block
constexpr int64_t kBlocks = 2112;
constexpr int64_t kBlocksOfSums = 528;

/// A map of maps: what a strip lies in.
struct Extent {
  int height, width;
  int64_t row;  ///< elements from one row to the next

  Extent(int64_t of_height, int64_t of_width, int64_t channels)
      : height(static_cast<int>(of_height)), width(static_cast<int>(of_width)), row(of_width * channels) {}
  __host__ __device__ int strips() const { return (width + kColumns - 1) / kColumns; }
  __host__ __device__ int64_t items(int64_t batch) const { return batch * height * strips(); }
};

struct Strip {
  int image, row, column;

  __device__ Strip(const Extent& extent, int64_t item) {
    const int number = static_cast<int>(item);
    column = number % extent.strips() * kColumns;
    row = number / extent.strips() % extent.height;
    image = number / extent.strips() / extent.height;
  }
};

/// kCount quads of a row from `column` on; zero outside.
template <class T, int kCount>
__device__ void load_row(const T* map, const Extent& extent, const Strip& strip, int row, int column, int channels,
                         int channel, Quad (&values)[kCount]) {
  const T* from = map + (static_cast<int64_t>(strip.image) * extent.height + row) * extent.row + channel;
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
                            const Quad (&values)[kColumns]) {
  T* to = map + (static_cast<int64_t>(strip.image) * extent.height + strip.row) * extent.row + channel;
#pragma unroll
  for (int i = 0; i < kColumns; ++i) {
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

/// kMirrored: by the filter turned by 180 degrees, as the gradient of x at stride 1 is.
template <class T, int kKernel, int kStride, bool kMirrored>
__global__ void __launch_bounds__(kQuadThreads) convolve_kernel(const QuadGrid grid, const DepthwiseConv conv,
                                                                const Extent in, const Extent out, const T* x, T* y) {
  __shared__ Filters filters;
  load_filters(grid, conv.weight, kKernel * kKernel, filters);
  const QuadPlace place(grid);
  if (place.idle) return;
  for (int64_t item = place.item; item < out.items(conv.batch); item += place.step) {
    const Strip strip(out, item);
    Quad sums[kColumns]{};
#pragma unroll
    for (int tap_row = 0; tap_row < kKernel; ++tap_row) {
      const int row = strip.row * kStride + tap_row - conv.top;
      if (row < 0 || row >= in.height) continue;
      Quad inputs[(kColumns - 1) * kStride + kKernel];
      load_row(x, in, strip, row, strip.column * kStride - conv.left, grid.channels, place.channel, inputs);
#pragma unroll
      for (int tap = 0; tap < kKernel; ++tap) {
        const int number = tap_row * kKernel + tap;
        const Quad filter = filters[kMirrored ? kKernel * kKernel - 1 - number : number][place.quad];
#pragma unroll
        for (int i = 0; i < kColumns; ++i) add_product(sums[i], filter, inputs[i * kStride + tap]);
      }
    }
    store_strip(y, out, strip, grid.channels, place.channel, sums);
  }
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
  for (int64_t item = place.item; item < in.items(conv.batch); item += place.step) {
    const Strip strip(in, item);
    const int first = (strip.column + conv.left - (kKernel - 1) - kOdd) / 2;  // exact: the sum is even
    Quad sums[kColumns]{};
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
        for (int i = 0; i < kColumns; ++i) {
          const int distance = kOdd + i + kKernel - 1 - tap;
          if (distance % 2 == 0) add_product(sums[i], filter, grads[distance / 2]);
        }
      }
    }
    store_strip(grad_x, in, strip, grid.channels, place.channel, sums);
  }
}

/// A block has one row of the filters, blockIdx.z.
template <class T, int kKernel, int kStride>
__global__ void __launch_bounds__(kQuadThreads)
    weight_gradient_kernel(const QuadGrid grid, const DepthwiseConv conv, const Extent in, const Extent out, const T* x,
                           const T* grad_y, float* partial) {
  allow_next_kernel();
  const QuadPlace place(grid);
  const int tap_row = static_cast<int>(blockIdx.z);
  Quad sums[kKernel]{};
  for (int64_t item = place.item; !place.idle && item < out.items(conv.batch); item += place.step) {
    const Strip strip(out, item);
    const int row = strip.row * kStride + tap_row - conv.top;
    if (row < 0 || row >= in.height) continue;
    Quad inputs[(kColumns - 1) * kStride + kKernel], grads[kColumns];
    load_row(x, in, strip, row, strip.column * kStride - conv.left, grid.channels, place.channel, inputs);
    load_row(grad_y, out, strip, strip.row, strip.column, grid.channels, place.channel, grads);
#pragma unroll
    for (int tap = 0; tap < kKernel; ++tap) {
#pragma unroll
      for (int i = 0; i < kColumns; ++i) add_product(sums[tap], grads[i], inputs[i * kStride + tap]);
    }
  }
  sum_block(grid, sums, partial + (static_cast<int64_t>(blockIdx.x) * kKernel + tap_row) * kKernel * grid.channels);
}

/// Calls `launch` with a null pointer of the maps' type, the kernel's size and the stride as constants.
template <class T, class Launch>
cudaError_t with_shape(const DepthwiseConv& conv, Launch&& launch) {
  using std::integral_constant;
  T* const type = nullptr;
  if (conv.kernel == 3) {
    return conv.stride == 1 ? launch(type, integral_constant<int, 3>(), integral_constant<int, 1>())
                            : launch(type, integral_constant<int, 3>(), integral_constant<int, 2>());
  }
  return conv.stride == 1 ? launch(type, integral_constant<int, 5>(), integral_constant<int, 1>())
                          : launch(type, integral_constant<int, 5>(), integral_constant<int, 2>());
}

template <class Launch>
cudaError_t with_types(const DepthwiseConv& conv, Launch&& launch) {
  return conv.bfloat16 ? with_shape<__nv_bfloat16>(conv, launch) : with_shape<float>(conv, launch);
}

Extent input_of(const DepthwiseConv& conv) { return {conv.height, conv.width, conv.channels}; }
Extent output_of(const DepthwiseConv& conv) { return {conv.out_height, conv.out_width, conv.channels}; }

/// As a convolution of grad_y that gives grad_x; of stride 1.
DepthwiseConv mirrored(const DepthwiseConv& conv) {
  DepthwiseConv back = conv;
  back.top = conv.kernel - 1 - conv.top;
  back.left = conv.kernel - 1 - conv.left;
  return back;
}

}  // namespace

cudaError_t depthwise_conv_forward(const DepthwiseConv& conv, const void* x, void* y, cudaStream_t stream) {
  const QuadGrid grid(conv.channels);
  const Extent in = input_of(conv), out = output_of(conv);
  const dim3 blocks = grid.grid(grid.blocks(out.items(conv.batch), 2, kBlocks));
  return with_types(conv, [&](auto type, auto kernel, auto step) {
    using T = std::remove_pointer_t<decltype(type)>;
    convolve_kernel<T, decltype(kernel)::value, decltype(step)::value, false>
        <<<blocks, kQuadThreads, 0, stream>>>(grid, conv, in, out, static_cast<const T*>(x), static_cast<T*>(y));
    return cudaGetLastError();
  });
}

cudaError_t depthwise_conv_input_gradient(const DepthwiseConv& conv, const void* grad_y, void* grad_x,
                                          cudaStream_t stream) {
  const QuadGrid grid(conv.channels);
  const Extent in = input_of(conv), out = output_of(conv);
  const dim3 blocks = grid.grid(grid.blocks(in.items(conv.batch), 2, kBlocks));
  return with_types(conv, [&](auto type, auto kernel, auto step) {
    using T = std::remove_pointer_t<decltype(type)>;
    constexpr int size = decltype(kernel)::value;
    const auto* from = static_cast<const T*>(grad_y);
    auto* to = static_cast<T*>(grad_x);
    if constexpr (decltype(step)::value == 1) {
      convolve_kernel<T, size, 1, true><<<blocks, kQuadThreads, 0, stream>>>(grid, mirrored(conv), out, in, from, to);
    } else if ((conv.left - (size - 1)) % 2 == 0) {
      spread_kernel<T, size, 0><<<blocks, kQuadThreads, 0, stream>>>(grid, conv, in, out, from, to);
    } else {
      spread_kernel<T, size, 1><<<blocks, kQuadThreads, 0, stream>>>(grid, conv, in, out, from, to);
    }
    return cudaGetLastError();
  });
}

int64_t depthwise_conv_parts(const DepthwiseConv& conv) {
  return QuadGrid(conv.channels).blocks(output_of(conv).items(conv.batch), 4, kBlocksOfSums / conv.kernel);
}

cudaError_t depthwise_conv_weight_gradient(const DepthwiseConv& conv, const void* x, const void* grad_y, float* partial,
                                           float* grad_weight, cudaStream_t stream) {
  const QuadGrid grid(conv.channels);
  const int64_t parts = depthwise_conv_parts(conv);
  const auto status = with_types(conv, [&](auto type, auto kernel, auto step) {
    using T = std::remove_pointer_t<decltype(type)>;
    weight_gradient_kernel<T, decltype(kernel)::value, decltype(step)::value>
        <<<grid.grid(parts, conv.kernel), kQuadThreads, 0, stream>>>(grid, conv, input_of(conv), output_of(conv),
                                                                     static_cast<const T*>(x),
                                                                     static_cast<const T*>(grad_y), partial);
    return cudaGetLastError();
  });
  if (status != cudaSuccess) return status;
  return sum_partials(partial, parts, conv.kernel * conv.kernel * conv.channels, grad_weight, stream);
}

}  // namespace codmoe::ops::cuda
