#include "column_sums.h"
#include "depthwise_conv.h"
#include "depthwise_shapes.h"
#include "depthwise_units.cuh"
#include "previous_kernel.cuh"

namespace codmoe::ops::cuda {

namespace {

constexpr int kAhead = 1;  ///< rows of results that are on their way, with their inputs
constexpr int kMostRows = 16;
template <class T>
constexpr int blocks_per_processor(int kernel) {
  return (kernel == 3 ? 24 : 12) / kUnitWarps<T>;
}

/// Of a warp: inputs, and gradients of results.
template <class T, int kKernel, int kStride>
struct Rings {
  static constexpr int kInputs = (kUnitColumns - 1) * kStride + kKernel;
  using Inputs = RowRing<T, kInputs, kKernel + kAhead * kStride>;
  using Grads = RowRing<T, kUnitColumns, 1 + kAhead>;
  typename Inputs::Slots inputs;
  typename Grads::Slots grads;
};

template <class T, int kKernel, int kStride>
__device__ void add_strip(const DepthwiseConv& conv, const Extent& in, const Strips& strips, const Place& place,
                          const T* x, const T* grad_y, Rings<T, kKernel, kStride>& rings,
                          float2 (&sums)[kKernel][kKernel]) {
  using Rows = Rings<T, kKernel, kStride>;
  const int first = place.row * kStride - conv.top;
  typename Rows::Inputs inputs(x, in, place, first, place.column * kStride - conv.left,
                               min(in.height, first + (place.rows - 1) * kStride + kKernel), rings.inputs);
  // Rows from the strip's end on are another's.
  typename Rows::Grads grads(grad_y, strips.extent, place, place.row, place.column, place.row + place.rows,
                             rings.grads);
  const auto ask = [&](int rows) {
    inputs.ask(rows);
    grads.ask();
    commit_copies();
  };
  __syncwarp();  // all lanes have read the last strip's rows
#pragma unroll
  for (int i = 0; i < kAhead; ++i) ask(i == 0 ? kKernel : kStride);
#pragma unroll 1
  for (int row = 0; row < strips.rows; ++row) {
    wait_for_copies<kAhead - 1>();
    __syncwarp();  // the other lanes' copies are there, and the slots to be filled have been read by all
    ask(kStride);
    float2 grad[kUnitColumns];
#pragma unroll
    for (int i = 0; i < kUnitColumns; ++i) grad[i] = grads[0].pair(i);
#pragma unroll
    for (int tap_row = 0; tap_row < kKernel; ++tap_row) {
      const auto& line = inputs[tap_row];
#pragma unroll
      for (int column = 0; column < Rows::kInputs; ++column) {
        const float2 input = line.pair(column);
#pragma unroll
        for (int i = 0; i < kUnitColumns; ++i) {
          const int tap = column - i * kStride;
          if (tap >= 0 && tap < kKernel) add_product(sums[tap_row][tap], grad[i], input);
        }
      }
    }
    inputs.drop(kStride);
    grads.drop(1);
  }
  wait_for_copies<0>();
}

template <class T, int kKernel, int kStride>
__global__ void __launch_bounds__(32 * kUnitWarps<T>, blocks_per_processor<T>(kKernel))
    weights_kernel(const DepthwiseConv conv, const Extent in, const Strips strips, const Sharing<T> sharing, const T* x,
                   const T* grad_y, float* partial) {
  __shared__ Rings<T, kKernel, kStride> rings[kUnitWarps<T>];
  allow_next_kernel();
  const Group<T> group(sharing);
  float2 sums[kKernel][kKernel]{};
  // Lanes of a warp may have one strip more than others: all go through the same rounds.
  for (int64_t strip = 0; strip < strips.count; strip += sharing.step) {
    add_strip(conv, in, strips, Place(strips, group.unit, strip + group.first_strip), x, grad_y, rings[warp_of()],
              sums);
  }
  auto* shared = reinterpret_cast<float2(*)[kUnitLanes]>(rings);  // the rows are not needed any more
  float* to = partial + group.part * kKernel * kKernel * strips.extent.channels + group.unit * kUnitChannels +
              2 * (lane_of() % kUnitLanes);
#pragma unroll
  for (int tap = 0; tap < kKernel * kKernel; ++tap) {
    const float2 sum = group.sum(sharing, sums[tap / kKernel][tap % kKernel], shared);
    if (group.writes) store_pair(to + tap * strips.extent.channels, sum);
  }
}

Strips strips_of(const DepthwiseConv& conv) {
  return {{conv.out_height, conv.out_width, conv.channels}, conv.batch, kMostRows};
}

template <class T>
Sharing<T> sharing_of(const DepthwiseConv& conv) {
  return {strips_of(conv), kProcessors * blocks_per_processor<T>(conv.kernel)};
}

}  // namespace

int64_t depthwise_conv_parts(const DepthwiseConv& conv) {
  return conv.bfloat16 ? sharing_of<__nv_bfloat16>(conv).parts() : sharing_of<float>(conv).parts();
}

cudaError_t depthwise_conv_weight_gradient(const DepthwiseConv& conv, const void* x, const void* grad_y, float* partial,
                                           float* grad_weight, cudaStream_t stream) {
  const auto status = with_types(conv, [&](auto type, auto kernel, auto step) {
    using T = std::remove_pointer_t<decltype(type)>;
    const auto sharing = sharing_of<T>(conv);
    weights_kernel<T, decltype(kernel)::value, decltype(step)::value>
        <<<static_cast<unsigned>(sharing.blocks), 32 * kUnitWarps<T>, 0, stream>>>(
            conv, {conv.height, conv.width, conv.channels}, strips_of(conv), sharing, static_cast<const T*>(x),
            static_cast<const T*>(grad_y), partial);
    return cudaGetLastError();
  });
  if (status != cudaSuccess) return status;
  return sum_partials(partial, depthwise_conv_parts(conv), conv.kernel * conv.kernel * conv.channels, grad_weight,
                      stream);
}

}  // namespace codmoe::ops::cuda
