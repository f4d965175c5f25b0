#include "depthwise_conv.h"

#include "depthwise_conv_spread.h"
#include "depthwise_shapes.h"
#include "depthwise_units.cuh"

namespace codmoe::ops::cuda {

namespace {

/// Rows of results whose inputs are on their way.
template <int kStride>
constexpr int kAhead = 3 - kStride;
constexpr int kMostRows = 16;

/// Of two channels. kMirrored: the filter turned by 180 degrees, as the gradient of x at stride 1 needs it.
template <int kKernel, bool kMirrored>
struct Filter {
  float2 at[kKernel][kKernel];

  __device__ Filter(const float* weight, int channel) {
    constexpr int taps = kKernel * kKernel;
    const float* first = weight + static_cast<int64_t>(channel) * taps;
#pragma unroll
    for (int i = 0; i < taps; ++i) {
      const int tap = kMirrored ? taps - 1 - i : i;
      at[i / kKernel][i % kKernel] = {first[tap], first[taps + tap]};
    }
  }
};

template <class T, int kKernel, int kStride, bool kMirrored>
__global__ void __launch_bounds__(32 * kUnitWarps<T>)
    convolve_kernel(const DepthwiseConv conv, const Extent in, const Strips strips, const T* x, T* y) {
  constexpr int kInputs = (kUnitColumns - 1) * kStride + kKernel;
  using Rows = RowRing<T, kInputs, kKernel + kAhead<kStride> * kStride>;
  __shared__ typename Rows::Slots slots[kUnitWarps<T>];
  const Extent& out = strips.extent;
  const Place place = place_of_lane<T>(strips);
  const int first = place.row * kStride - conv.top;
  Rows rows(x, in, place, first, place.column * kStride - conv.left,
            min(in.height, first + (place.rows - 1) * kStride + kKernel), slots[warp_of()]);
#pragma unroll
  for (int i = 0; i < kAhead<kStride>; ++i) {
    rows.ask(i == 0 ? kKernel : kStride);
    commit_copies();
  }
  const Filter<kKernel, kMirrored> filter(conv.weight, place.channel);
  T* to = y + place.offset(out, place.row, place.column);
#pragma unroll 1
  for (int row = 0; row < strips.rows; ++row, to += static_cast<int64_t>(out.width) * out.channels) {
    wait_for_copies<kAhead<kStride> - 1>();
    __syncwarp();  // the other lanes' copies are there, and the slots to be filled have been read by all
    rows.ask(kStride);
    commit_copies();
    float2 sums[kUnitColumns]{};
#pragma unroll
    for (int tap_row = 0; tap_row < kKernel; ++tap_row) {
      const auto& inputs = rows[tap_row];
#pragma unroll
      for (int column = 0; column < kInputs; ++column) {
        const float2 input = inputs.pair(column);
#pragma unroll
        for (int i = 0; i < kUnitColumns; ++i) {
          const int tap = column - i * kStride;
          if (tap >= 0 && tap < kKernel) add_product(sums[i], filter.at[tap_row][tap], input);
        }
      }
    }
    rows.drop(kStride);
    if (row >= place.rows) continue;
#pragma unroll
    for (int i = 0; i < kUnitColumns; ++i) {
      if (place.column + i < out.width) store_pair(to + i * out.channels, sums[i]);
    }
  }
}

template <class T, int kKernel, int kStride, bool kMirrored>
cudaError_t launch(const DepthwiseConv& conv, const Extent& in, const Extent& out, const void* x, void* y,
                   cudaStream_t stream) {
  const Strips strips(out, conv.batch, kMostRows);
  convolve_kernel<T, kKernel, kStride, kMirrored><<<blocks_of<T>(strips), 32 * kUnitWarps<T>, 0, stream>>>(
      conv, in, strips, static_cast<const T*>(x), static_cast<T*>(y));
  return cudaGetLastError();
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
  return with_types(conv, [&](auto type, auto kernel, auto step) {
    return launch<std::remove_pointer_t<decltype(type)>, decltype(kernel)::value, decltype(step)::value, false>(
        conv, input_of(conv), output_of(conv), x, y, stream);
  });
}

cudaError_t depthwise_conv_input_gradient(const DepthwiseConv& conv, const void* grad_y, void* grad_x,
                                          cudaStream_t stream) {
  if (conv.stride == 2) return depthwise_conv_spread(conv, grad_y, grad_x, stream);
  return with_types(conv, [&](auto type, auto kernel, auto) {
    return launch<std::remove_pointer_t<decltype(type)>, decltype(kernel)::value, 1, true>(
        mirrored(conv), output_of(conv), input_of(conv), grad_y, grad_x, stream);
  });
}

}  // namespace codmoe::ops::cuda
