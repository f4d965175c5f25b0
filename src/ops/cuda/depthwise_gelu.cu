#include "depthwise_gelu.h"

#include "depthwise_strips.cuh"
#include "gelu.cuh"

namespace codmoe::ops::cuda {

namespace {

constexpr int kAhead = 2;  ///< rows on their way

/// Adds a row of inputs, which begins a column further left than the results, to the results of three rows.
__device__ void add_row(const Taps& taps, const float2 (&inputs)[kStripInputs], ThreeRows& results) {
#pragma unroll
  for (int i = 0; i < kStripColumns; ++i) {
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
__device__ void store_row(const float2 (&results)[kStripColumns], int count, int64_t channels, T* y, T* slope) {
#pragma unroll
  for (int i = 0; i < kStripColumns; ++i) {
    if (i >= count) continue;
    const auto first = gelu_and_slope(results[i].x), second = gelu_and_slope(results[i].y);
    store_pair(y + i * channels, {first.value, second.value});
    if (slope != nullptr) store_pair(slope + i * channels, {first.slope, second.slope});
  }
}

template <class T>
__global__ void __launch_bounds__(32 * kStripWarps) forward_kernel(const DepthwiseGelu conv, T* y, T* slope) {
  __shared__ RowSlot<T> slots[kStripWarps][kAhead + 1];
  const int64_t number = static_cast<int64_t>(block_number(conv)) * kStripWarps + warp_of();
  if (number >= strip_count(conv)) return;
  const Strip strip = strip_at(conv, number);
  const int channel = first_channel(conv) + 2 * lane_of(), end = strip.row + strip.rows;
  const int columns = static_cast<int>(conv.width) - strip.column;
  const RowCopier<T> copier(conv, strip);
  auto& ring = slots[warp_of()];
#pragma unroll
  for (int i = 0; i < kAhead; ++i) {
    copier.copy(static_cast<const T*>(conv.x), strip.row - 1 + i, ring[i]);
    commit_copies();
  }
  const ShiftedRow shifted(conv, strip);
  const Taps taps = load_taps(conv.weight, channel);
  const float2 bias = load_pair(conv.bias + channel);
  ThreeRows results(bias);
  int slot = 0, free = kAhead;
  int64_t to =
      strip.image + (static_cast<int64_t>(strip.row - 2) * conv.width + strip.column) * conv.channels + channel;
  for (int row = strip.row - 1; row <= end; ++row, to += conv.width * conv.channels) {
    wait_for_copies<kAhead - 1>();
    __syncwarp();  // the other lanes' copies are there, and the slot to be filled has been read by all
    if (row + kAhead <= end) copier.copy(static_cast<const T*>(conv.x), row + kAhead, ring[free]);
    commit_copies();
    float2 inputs[kStripInputs];
    shifted.load(ring[slot], row, inputs);
    add_row(taps, inputs, results);
    if (row > strip.row)
      store_row(results.above, columns, conv.channels, y + to, slope == nullptr ? slope : slope + to);
    results.move_up(bias);
    slot = next_slot<kAhead + 1>(slot);
    free = next_slot<kAhead + 1>(free);
  }
}

template <class T>
cudaError_t launch(const DepthwiseGelu& conv, void* y, void* slope, cudaStream_t stream) {
  const auto blocks = (strip_count(conv) + kStripWarps - 1) / kStripWarps * channel_groups(conv);
  forward_kernel<T><<<static_cast<unsigned>(blocks), 32 * kStripWarps, 0, stream>>>(conv, static_cast<T*>(y),
                                                                                    static_cast<T*>(slope));
  return cudaGetLastError();
}

}  // namespace

cudaError_t depthwise_gelu_forward(const DepthwiseGelu& conv, void* y, void* slope, cudaStream_t stream) {
  return conv.bfloat16 ? launch<__nv_bfloat16>(conv, y, slope, stream) : launch<float>(conv, y, slope, stream);
}

}  // namespace codmoe::ops::cuda
