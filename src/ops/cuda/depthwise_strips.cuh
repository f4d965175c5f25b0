// How depthwise convolutions of 3 x 3 over channels-last maps are shared out: a warp holds 64 channels, two a lane, and
// slides down a strip of kStripColumns columns. Rows come through shared memory, asked for some iterations before they are
// used, without a register each; neighbouring blocks hold neighbouring channels, so that what is read at the same time
// lies together.
#pragma once

#include "depthwise_gelu.h"
#include "lanes.cuh"
#include "mma.cuh"
#include "pairs.cuh"

namespace codmoe::ops::cuda {

constexpr int kStripColumns = 4;
constexpr int kStripRows = 44;
constexpr int kStripInputs = kStripColumns + 2;  ///< columns of its inputs
constexpr int kStripWarps = 4;                   ///< of a block, each with a strip of its own
constexpr int kStripChannels = 64;

/// Where a warp works.
struct Strip {
  int64_t image;  ///< of its first element
  int row, rows;
  int column;
};

__host__ __device__ inline int column_groups(const DepthwiseGelu& conv) {
  return static_cast<int>((conv.width + kStripColumns - 1) / kStripColumns);
}
__host__ __device__ inline int row_groups(const DepthwiseGelu& conv) {
  return static_cast<int>((conv.height + kStripRows - 1) / kStripRows);
}
__host__ __device__ inline int64_t strip_count(const DepthwiseGelu& conv) {
  return conv.batch * row_groups(conv) * column_groups(conv);
}
__host__ __device__ inline int channel_groups(const DepthwiseGelu& conv) {
  return static_cast<int>(conv.channels / kStripChannels);
}

/// Neighbouring numbers are neighbouring columns.
__device__ inline Strip strip_at(const DepthwiseGelu& conv, int64_t number) {
  const int groups = column_groups(conv);
  const int column = static_cast<int>(number % groups) * kStripColumns;
  number /= groups;
  const int row = static_cast<int>(number % row_groups(conv)) * kStripRows;
  return {number / row_groups(conv) * conv.height * conv.width * conv.channels, row,
          min(kStripRows, static_cast<int>(conv.height) - row), column};
}

/// The block's channels begin here.
__device__ inline int first_channel(const DepthwiseGelu& conv) {
  return static_cast<int>(blockIdx.x) % channel_groups(conv) * kStripChannels;
}
/// Among the blocks of the same channels.
__device__ inline int block_number(const DepthwiseGelu& conv) {
  return static_cast<int>(blockIdx.x) / channel_groups(conv);
}

struct Taps {
  float2 at[3][3];
};

__device__ inline Taps load_taps(const float* weight, int channel) {
  Taps taps;
#pragma unroll
  for (int tap = 0; tap < 9; ++tap)
    taps.at[tap / 3][tap % 3] = {weight[9 * channel + tap], weight[9 * channel + 9 + tap]};
  return taps;
}

/// A row of a strip's inputs in shared memory, for one warp.
template <class T>
struct RowSlot {
  alignas(kChunkBytes) T at[kStripInputs][kStripChannels];

  __device__ float2 pair(int column) const { return load_pair(&at[column][2 * lane_of()]); }
};

/// Copies rows into slots: a lane takes the same 16 bytes of some columns each time.
template <class T>
class RowCopier {
 public:
  __device__ RowCopier(const DepthwiseGelu& conv, const Strip& strip)
      : height_(static_cast<int>(conv.height)),
        width_(static_cast<int>(conv.width)),
        channels_(static_cast<int>(conv.channels)),
        column_(strip.column - 1 + lane_of() / kChunks),
        offset_(strip.image + static_cast<int64_t>(column_) * conv.channels + first_channel(conv) +
                lane_of() % kChunks * (kStripChannels / kChunks)) {}

  /// Without waiting; zeros stand outside the map.
  __device__ void copy(const T* map, int row, RowSlot<T>& slot) const {
    const bool inside = row >= 0 && row < height_;
    const T* from = map + offset_ + static_cast<int64_t>(row) * width_ * channels_;
    const uint32_t to = shared_address(&slot) + static_cast<uint32_t>(lane_of() * kChunkBytes);
#pragma unroll
    for (int first = 0; first < kStripInputs; first += kTogether) {
      if (first + lane_of() / kChunks >= kStripInputs) continue;
      const int column = column_ + first;
      copy_chunk(to + static_cast<uint32_t>(first * kChunks * kChunkBytes), from + first * channels_,
                 inside && column >= 0 && column < width_);
    }
  }

 private:
  static constexpr int kChunks = kStripChannels * static_cast<int>(sizeof(T)) / kChunkBytes;  ///< of a column
  static constexpr int kTogether = 32 / kChunks;                                              ///< columns

  int height_, width_, channels_;
  int column_;      ///< the lane's first
  int64_t offset_;  ///< of the lane's first chunk in row 0
};

/// The shift of x where its columns lie in the map: around it stand zeros after the shift.
class ShiftedRow {
 public:
  __device__ ShiftedRow(const DepthwiseGelu& conv, const Strip& strip)
      : height_(static_cast<int>(conv.height)), shift_(load_pair(conv.x_bias + first_channel(conv) + 2 * lane_of())) {
#pragma unroll
    for (int i = 0; i < kStripInputs; ++i) {
      const int column = strip.column - 1 + i;
      inside_[i] = column >= 0 && column < conv.width ? 1.0F : 0.0F;
    }
  }

  template <class T>
  __device__ void load(const RowSlot<T>& slot, int row, float2 (&inputs)[kStripInputs]) const {
    const float2 shift = row >= 0 && row < height_ ? shift_ : float2{0.0F, 0.0F};
#pragma unroll
    for (int i = 0; i < kStripInputs; ++i) {
      inputs[i] = slot.pair(i);
      add_product(inputs[i], {inside_[i], inside_[i]}, shift);
    }
  }

 private:
  int height_;
  float2 shift_;
  float inside_[kStripInputs];
};

/// A ring of kCount slots: those to be read and filled next.
template <int kCount>
__device__ inline int next_slot(int slot) {
  return slot + 1 == kCount ? 0 : slot + 1;
}

/// Results, or gradients, of three rows while the middle one is at work.
struct ThreeRows {
  float2 above[kStripColumns], level[kStripColumns], below[kStripColumns];

  __device__ explicit ThreeRows(float2 begin) {
#pragma unroll
    for (int i = 0; i < kStripColumns; ++i) above[i] = level[i] = below[i] = begin;
  }
  __device__ void move_up(float2 begin) {
#pragma unroll
    for (int i = 0; i < kStripColumns; ++i) {
      above[i] = level[i];
      level[i] = below[i];
      below[i] = begin;
    }
  }
};

}  // namespace codmoe::ops::cuda
