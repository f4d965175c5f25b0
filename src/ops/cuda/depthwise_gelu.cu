#include "depthwise_gelu.h"

#include "depthwise_gelu_rows.cuh"
#include "gelu.cuh"

namespace codmoe::ops::cuda {

namespace {

constexpr int kAhead = 2;  ///< rows on their way

/// Adds a row of inputs, which begins a column further left than the results, to the results of three rows.
__device__ void add_row(const Taps& taps, const float2 (&inputs)[kGeluInputs], ThreeRows& results) {
#pragma unroll
  for (int i = 0; i < kUnitColumns; ++i) {
#pragma unroll
    for (int tap = 0; tap < 3; ++tap) {
      add_product(results.above[i], taps.at[2][tap], inputs[i + tap]);
      add_product(results.level[i], taps.at[1][tap], inputs[i + tap]);
      add_product(results.below[i], taps.at[0][tap], inputs[i + tap]);
    }
  }
}

/// A row of GELU's values, and of its slopes unless `slope` is null, of `count` columns.
template <class T>
__device__ void store_row(const float2 (&results)[kUnitColumns], int count, int channels, T* y, T* slope) {
#pragma unroll
  for (int i = 0; i < kUnitColumns; ++i) {
    if (i >= count) continue;
    const auto first = gelu_and_slope(results[i].x), second = gelu_and_slope(results[i].y);
    store_pair(y + i * channels, {first.value, second.value});
    if (slope != nullptr) store_pair(slope + i * channels, {first.slope, second.slope});
  }
}

template <class T>
__global__ void __launch_bounds__(32 * kUnitWarps<T>)
    forward_kernel(const DepthwiseGelu conv, const Strips strips, T* y, T* slope) {
  using Rows = RowRing<T, kGeluInputs, 1 + kAhead>;
  __shared__ typename Rows::Slots slots[kUnitWarps<T>];
  const Extent& extent = strips.extent;
  const Place place = place_of_lane<T>(strips);
  Rows rows(static_cast<const T*>(conv.x), extent, place, place.row - 1, place.column - 1,
            min(extent.height, place.row + place.rows + 1), slots[warp_of()]);
#pragma unroll
  for (int i = 0; i < kAhead; ++i) {
    rows.ask();
    commit_copies();
  }
  const Shift shift(conv.x_bias, extent, place);
  const Taps taps = load_taps(conv.weight, place.channel);
  const float2 bias = load_pair(conv.bias + place.channel);
  ThreeRows results(bias);
  int64_t to = place.offset(extent, place.row - 2, place.column);
  for (int row = -1; row <= strips.rows; ++row, to += extent.width * extent.channels) {
    wait_for_copies<kAhead - 1>();
    __syncwarp();  // the other lanes' copies are there, and the slot to be filled has been read by all
    rows.ask();
    commit_copies();
    float2 inputs[kGeluInputs];
    shift.load(rows[0], place.row + row, inputs);
    rows.drop(1);
    add_row(taps, inputs, results);
    if (row > 0 && row <= place.rows) {
      store_row(results.above, extent.width - place.column, extent.channels, y + to,
                slope == nullptr ? slope : slope + to);
    }
    results.move_up(bias);
  }
}

template <class T>
cudaError_t launch(const DepthwiseGelu& conv, void* y, void* slope, cudaStream_t stream) {
  const auto strips = strips_of(conv);
  forward_kernel<T><<<blocks_of<T>(strips), 32 * kUnitWarps<T>, 0, stream>>>(conv, strips, static_cast<T*>(y),
                                                                             static_cast<T*>(slope));
  return cudaGetLastError();
}

}  // namespace

cudaError_t depthwise_gelu_forward(const DepthwiseGelu& conv, void* y, void* slope, cudaStream_t stream) {
  return conv.bfloat16 ? launch<__nv_bfloat16>(conv, y, slope, stream) : launch<float>(conv, y, slope, stream);
}

}  // namespace codmoe::ops::cuda
