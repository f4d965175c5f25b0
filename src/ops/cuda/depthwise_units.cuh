// How depthwise convolutions are shared out: a lane holds two channels of a strip of four columns and slides down its
// rows; four lanes are a unit of eight channels, and neighbouring units are neighbouring channels, then columns. Rows
// of inputs come through shared memory, asked for before they are used, without a register each.
#pragma once

#include <type_traits>

#include "depthwise_conv.h"
#include "lanes.cuh"
#include "mma.cuh"
#include "pairs.cuh"

namespace codmoe::ops::cuda {

constexpr int kUnitChannels = 8;
constexpr int kUnitLanes = kUnitChannels / 2;
constexpr int kWarpUnits = 32 / kUnitLanes;
constexpr int kUnitColumns = 4;

/// A map of maps, channels last.
struct Extent {
  int height, width, channels;

  __host__ __device__ int units() const { return channels / kUnitChannels; }
};

/// The strips of all images. The images' rows are cut into groups of about the same length.
struct Strips {
  Extent extent;
  int columns, groups;  ///< of strips, of an image
  int rows;             ///< of a strip, at most
  int64_t count;        ///< of each unit

  Strips(const Extent& of, int64_t batch, int most_rows)
      : extent(of),
        columns((of.width + kUnitColumns - 1) / kUnitColumns),
        groups((of.height + most_rows - 1) / most_rows),
        rows((of.height + groups - 1) / groups),
        count(batch * groups * columns) {}
};

/// Where a lane works.
struct Place {
  int channel;  ///< of its pair's first
  int image, row, column;
  int rows;  ///< none where it has nothing to do

  __device__ Place(const Strips& strips, int unit, int64_t strip)
      : channel(unit * kUnitChannels + 2 * (lane_of() % kUnitLanes)),
        image(static_cast<int>(strip / (strips.groups * strips.columns))),
        row(static_cast<int>(strip / strips.columns) % strips.groups * strips.rows),
        column(static_cast<int>(strip % strips.columns) * kUnitColumns),
        rows(strip < strips.count ? min(strips.rows, strips.extent.height - row) : 0) {}

  /// Of the lane's pair in a map; `at_row` may lie outside.
  __device__ int64_t offset(const Extent& extent, int at_row, int at_column) const {
    return ((static_cast<int64_t>(image) * extent.height + at_row) * extent.width + at_column) * extent.channels +
           channel;
  }
};

/// A row of a warp's units in shared memory.
template <class T, int kColumns>
struct UnitRow {
  alignas(kChunkBytes) T at[kColumns][kWarpUnits * kUnitChannels];

  __device__ float2 pair(int column) const { return load_pair(&at[column][2 * lane_of()]); }
};

/// Copies rows of kColumns columns, from `column` on, into shared memory: a lane takes every fourth chunk of its unit.
template <class T, int kColumns>
class UnitCopier {
 public:
  __device__ UnitCopier(const T* map, const Extent& extent, const Place& place, int column)
      : from_(map + place.offset(extent, 0, column) - 2 * (lane_of() % kUnitLanes)),
        height_(place.rows > 0 ? extent.height : 0),
        width_(extent.width),
        channels_(extent.channels),
        column_(column) {}

  /// Without waiting; zeros stand outside the map.
  __device__ void copy(int row, UnitRow<T, kColumns>& to) const {
    const bool inside = row >= 0 && row < height_;
    const T* from = from_ + static_cast<int64_t>(row) * width_ * channels_;
#pragma unroll
    for (int first = 0; first < kColumns * kChunks; first += kUnitLanes) {
      const int number = first + lane_of() % kUnitLanes, i = number / kChunks, part = number % kChunks * kPart;
      if (i >= kColumns) continue;
      const bool present = inside && column_ + i >= 0 && column_ + i < width_;
      copy_chunk(shared_address(&to.at[i][lane_of() / kUnitLanes * kUnitChannels + part]), from + i * channels_ + part,
                 present);
    }
  }

 private:
  static constexpr int kPart = kChunkBytes / static_cast<int>(sizeof(T));  ///< channels of a chunk
  static constexpr int kChunks = kUnitChannels / kPart;                    ///< of a column

  const T* from_;  ///< the unit's first column in row 0
  int height_, width_, channels_;
  int column_;
};

/// The rows that a row of results of a convolution reads, and those on their way for the next kAhead.
template <class T, int kKernel, int kStride, int kAhead>
class InputRows {
 public:
  static constexpr int kColumns = (kUnitColumns - 1) * kStride + kKernel;
  static constexpr int kSlots = kKernel + kAhead * kStride;
  using Slots = UnitRow<T, kColumns>[kSlots];

  /// `row`: the first that is read.
  __device__ InputRows(const UnitCopier<T, kColumns>& copier, int row, Slots& slots)
      : copier_(copier), slots_(slots), next_row_(row) {}

  /// For one row of results more; the first of a strip needs kKernel rows.
  __device__ void ask(int rows) {
    for (int i = 0; i < rows; ++i) {
      copier_.copy(next_row_++, slots_[next_slot_]);
      next_slot_ = after(next_slot_, 1);
    }
  }
  __device__ void advance() { slot_ = after(slot_, kStride); }

  __device__ const UnitRow<T, kColumns>& operator[](int tap_row) const { return slots_[after(slot_, tap_row)]; }

 private:
  __device__ static int after(int slot, int count) {
    return slot + count < kSlots ? slot + count : slot + count - kSlots;
  }

  UnitCopier<T, kColumns> copier_;
  Slots& slots_;
  int next_row_;
  int next_slot_ = 0, slot_ = 0;
};

/// Warps of a block, so that their rows fit in the shared memory that need not be asked for.
template <class T>
constexpr int kUnitWarps = sizeof(T) == 2 ? 4 : 2;

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

inline Extent extent_of(int64_t height, int64_t width, int64_t channels) {
  return {static_cast<int>(height), static_cast<int>(width), static_cast<int>(channels)};
}
inline Extent input_of(const DepthwiseConv& conv) { return extent_of(conv.height, conv.width, conv.channels); }
inline Extent output_of(const DepthwiseConv& conv) { return extent_of(conv.out_height, conv.out_width, conv.channels); }

}  // namespace codmoe::ops::cuda
