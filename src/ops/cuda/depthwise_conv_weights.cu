#include <algorithm>
#include <numeric>
#include <type_traits>

#include "column_sums.h"
#include "depthwise_conv.h"
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
constexpr int kProcessors = 132;  ///< of the H100

/// How the strips are shared out: a group of four lanes keeps its unit, and takes every `step`th strip of it.
template <class T>
struct Sharing {
  static constexpr int kBlockGroups = kUnitWarps<T> * kWarpUnits;
  int units, blocks, step;

  Sharing(const Strips& strips, int kernel) : units(strips.extent.units()) {
    const int even = units / std::gcd(units, kBlockGroups);  // blocks whose groups are a multiple of the units
    const int64_t wanted =
        std::min<int64_t>(kProcessors * blocks_per_processor<T>(kernel), strips.count * units / kBlockGroups);
    blocks = even * static_cast<int>(std::max<int64_t>(1, wanted / even));
    step = blocks * kBlockGroups / units;
  }
  /// Groups of a block with the same unit are summed up by the block.
  __host__ __device__ bool sums_in_block() const { return units < kBlockGroups; }
  int64_t parts() const { return sums_in_block() ? blocks : step; }
};

/// Gradients of one strip's results, beside the inputs.
template <class T, int kKernel, int kStride>
struct Slots {
  typename InputRows<T, kKernel, kStride, kAhead>::Slots inputs;
  UnitRow<T, kUnitColumns> grads[kAhead + 1];
};

template <class T, int kKernel, int kStride>
__device__ void add_strip(const DepthwiseConv& conv, const Extent& in, const Strips& strips, const Place& place,
                          const T* x, const T* grad_y, Slots<T, kKernel, kStride>& slots,
                          float2 (&sums)[kKernel][kKernel]) {
  using Rows = InputRows<T, kKernel, kStride, kAhead>;
  Rows inputs(UnitCopier<T, Rows::kColumns>(x, in, place, place.column * kStride - conv.left),
              place.row * kStride - conv.top, slots.inputs);
  const UnitCopier<T, kUnitColumns> grads(grad_y, strips.extent, place, place.column);
  // A row beyond the strip is another's.
  const auto ask = [&](int row, int rows) {
    inputs.ask(rows);
    grads.copy(row < place.rows ? place.row + row : -1, slots.grads[row % (kAhead + 1)]);
    commit_copies();
  };
  __syncwarp();  // all lanes have read the last strip's rows
#pragma unroll
  for (int i = 0; i < kAhead; ++i) ask(i, i == 0 ? kKernel : kStride);
#pragma unroll 1
  for (int row = 0; row < strips.rows; ++row) {
    wait_for_copies<kAhead - 1>();
    __syncwarp();  // the other lanes' copies are there, and the slots to be filled have been read by all
    ask(row + kAhead, kStride);
    float2 grad[kUnitColumns];
#pragma unroll
    for (int i = 0; i < kUnitColumns; ++i) grad[i] = slots.grads[row % (kAhead + 1)].pair(i);
#pragma unroll
    for (int tap_row = 0; tap_row < kKernel; ++tap_row) {
      const auto& line = inputs[tap_row];
#pragma unroll
      for (int column = 0; column < Rows::kColumns; ++column) {
        const float2 input = line.pair(column);
#pragma unroll
        for (int i = 0; i < kUnitColumns; ++i) {
          const int tap = column - i * kStride;
          if (tap >= 0 && tap < kKernel) add_product(sums[tap_row][tap], grad[i], input);
        }
      }
    }
    inputs.advance();
  }
  wait_for_copies<0>();
}

/// The sum over the block's groups of each unit, in the first of them.
template <class T>
__device__ float2 sum_of_unit(float2 sum, int group, int units, float2 (*shared)[kUnitLanes]) {
  const int lane = lane_of() % kUnitLanes;
  __syncthreads();
  shared[group][lane] = sum;
  __syncthreads();
  float2 total{};
  for (int other = group; other < Sharing<T>::kBlockGroups; other += units) total += shared[other][lane];
  return total;
}

template <class T, int kKernel, int kStride>
__global__ void __launch_bounds__(32 * kUnitWarps<T>, blocks_per_processor<T>(kKernel))
    weights_kernel(const DepthwiseConv conv, const Extent in, const Strips strips, const Sharing<T> sharing, const T* x,
                   const T* grad_y, float* partial) {
  __shared__ Slots<T, kKernel, kStride> slots[kUnitWarps<T>];
  allow_next_kernel();
  const int group = warp_of() * kWarpUnits + lane_of() / kUnitLanes;  // of the block
  const int number = static_cast<int>(blockIdx.x) * Sharing<T>::kBlockGroups + group;
  const int unit = number % sharing.units, first = number / sharing.units;
  float2 sums[kKernel][kKernel]{};
  // Lanes of a warp may have one strip more than others: all go through the same rounds.
  for (int64_t strip = 0; strip < strips.count; strip += sharing.step) {
    const Place place(strips, unit, strip + first);
    add_strip(conv, in, strips, place, x, grad_y, slots[warp_of()], sums);
  }
  auto* shared = reinterpret_cast<float2(*)[kUnitLanes]>(slots);  // the rows are not needed any more
  const bool in_block = sharing.sums_in_block(), writes = !in_block || group < sharing.units;
  const int64_t part = in_block ? static_cast<int64_t>(blockIdx.x) : first;
  float* to =
      partial + part * kKernel * kKernel * strips.extent.channels + unit * kUnitChannels + 2 * (lane_of() % kUnitLanes);
#pragma unroll
  for (int tap = 0; tap < kKernel * kKernel; ++tap) {
    float2 sum = sums[tap / kKernel][tap % kKernel];
    if (in_block) sum = sum_of_unit<T>(sum, group, sharing.units, shared);
    if (writes) store_pair(to + tap * strips.extent.channels, sum);
  }
}

Strips strips_of(const DepthwiseConv& conv) { return {output_of(conv), conv.batch, kMostRows}; }

}  // namespace

int64_t depthwise_conv_parts(const DepthwiseConv& conv) {
  return conv.bfloat16 ? Sharing<__nv_bfloat16>(strips_of(conv), conv.kernel).parts()
                       : Sharing<float>(strips_of(conv), conv.kernel).parts();
}

cudaError_t depthwise_conv_weight_gradient(const DepthwiseConv& conv, const void* x, const void* grad_y, float* partial,
                                           float* grad_weight, cudaStream_t stream) {
  const auto status = with_types(conv, [&](auto type, auto kernel, auto step) {
    using T = std::remove_pointer_t<decltype(type)>;
    const auto strips = strips_of(conv);
    const Sharing<T> sharing(strips, conv.kernel);
    weights_kernel<T, decltype(kernel)::value, decltype(step)::value>
        <<<static_cast<unsigned>(sharing.blocks), 32 * kUnitWarps<T>, 0, stream>>>(
            conv, input_of(conv), strips, sharing, static_cast<const T*>(x), static_cast<const T*>(grad_y), partial);
    return cudaGetLastError();
  });
  if (status != cudaSuccess) return status;
  return sum_partials(partial, depthwise_conv_parts(conv), conv.kernel * conv.kernel * conv.channels, grad_weight,
                      stream);
}

}  // namespace codmoe::ops::cuda
