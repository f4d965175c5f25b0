// How depthwise convolutions are shared out: a lane holds two channels of a strip of four columns and slides down its
// rows; four lanes are a unit of eight channels, and neighbouring units are neighbouring channels, then columns. Rows
// of inputs come through shared memory, asked for before they are used, without a register each.
#pragma once

#include <algorithm>
#include <cstdint>
#include <numeric>

#include "lanes.cuh"
#include "mma.cuh"
#include "pairs.cuh"

namespace codmoe::ops::cuda {

constexpr int kUnitChannels = 8;
constexpr int kUnitLanes = kUnitChannels / 2;
constexpr int kWarpUnits = 32 / kUnitLanes;
constexpr int kUnitColumns = 4;
constexpr int kProcessors = 132;  ///< of the H100

/// The size of one image's map, channels last.
struct Extent {
  int height, width, channels;

  Extent(int64_t of_height, int64_t of_width, int64_t of_channels)
      : height(static_cast<int>(of_height)),
        width(static_cast<int>(of_width)),
        channels(static_cast<int>(of_channels)) {}
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

/// Rows of kColumns columns, one after the other: those at work, and those on their way. Zeros stand outside the map.
template <class T, int kColumns, int kCount>
class RowRing {
 public:
  using Slots = UnitRow<T, kColumns>[kCount];

  /// From `row` and `column` on, which may lie outside; rows from `end` on are zeros.
  __device__ RowRing(const T* map, const Extent& extent, const Place& place, int row, int column, int end, Slots& slots)
      : from_(map + place.offset(extent, row, column) - 2 * (lane_of() % kUnitLanes)),
        row_step_(extent.width * extent.channels),
        channels_(extent.channels),
        row_(row),
        end_(place.rows > 0 ? end : 0),
        column_(column),
        width_(extent.width),
        slots_(slots) {}

  /// Copies a row more, without waiting: a lane takes every fourth chunk of its unit.
  __device__ void ask() {
    auto& slot = slots_[next_];
    const bool inside = row_ >= 0 && row_ < end_;
#pragma unroll
    for (int first = 0; first < kColumns * kChunks; first += kUnitLanes) {
      const int number = first + lane_of() % kUnitLanes, i = number / kChunks, part = number % kChunks * kPart;
      if (i >= kColumns) continue;
      copy_chunk(shared_address(&slot.at[i][lane_of() / kUnitLanes * kUnitChannels + part]),
                 from_ + i * channels_ + part, inside && column_ + i >= 0 && column_ + i < width_);
    }
    from_ += row_step_;
    ++row_;
    next_ = after(next_, 1);
  }
  __device__ void ask(int rows) {
    for (int i = 0; i < rows; ++i) ask();
  }

  /// A row after the first one at work.
  __device__ const UnitRow<T, kColumns>& operator[](int row) const { return slots_[after(first_, row)]; }
  __device__ void drop(int rows) { first_ = after(first_, rows); }

 private:
  static constexpr int kPart = kChunkBytes / static_cast<int>(sizeof(T));  ///< channels of a chunk
  static constexpr int kChunks = kUnitChannels / kPart;                    ///< of a column

  __device__ static int after(int slot, int rows) { return slot + rows < kCount ? slot + rows : slot + rows - kCount; }

  const T* from_;  ///< the unit's first column in the next row
  int row_step_, channels_;
  int row_, end_, column_, width_;
  Slots& slots_;
  int next_ = 0, first_ = 0;
};

/// Warps of a block, so that their rows fit in the shared memory that need not be asked for.
template <class T>
constexpr int kUnitWarps = sizeof(T) == 2 ? 4 : 2;

/// Where every unit of every strip has lanes of its own.
template <class T>
__device__ Place place_of_lane(const Strips& strips) {
  const int64_t number =
      (static_cast<int64_t>(blockIdx.x) * kUnitWarps<T> + warp_of()) * kWarpUnits + lane_of() / kUnitLanes;
  const int units = strips.extent.units();
  return {strips, static_cast<int>(number % units), number / units};
}
template <class T>
unsigned blocks_of(const Strips& strips) {
  constexpr int together = kUnitWarps<T> * kWarpUnits;
  return static_cast<unsigned>((strips.count * strips.extent.units() + together - 1) / together);
}

/// How strips are shared out where sums over all of them are wanted: a group of four lanes keeps its unit, and takes
/// every `step`th strip of it.
template <class T>
struct Sharing {
  static constexpr int kBlockGroups = kUnitWarps<T> * kWarpUnits;
  int units, blocks, step;

  Sharing(const Strips& strips, int64_t most_blocks) : units(strips.extent.units()) {
    const int even = units / std::gcd(units, kBlockGroups);  // blocks whose groups are a multiple of the units
    const int64_t wanted = std::min<int64_t>(most_blocks, strips.count * units / kBlockGroups);
    blocks = even * static_cast<int>(std::max<int64_t>(1, wanted / even));
    step = blocks * kBlockGroups / units;
  }
  /// Groups of a block with the same unit are summed up by the block.
  __host__ __device__ bool sums_in_block() const { return units < kBlockGroups; }
  /// How many partial sums there are of each channel.
  int64_t parts() const { return sums_in_block() ? blocks : step; }
};

/// A group of four lanes in a grid of that kind.
template <class T>
struct Group {
  int of_block, unit, first_strip;
  int64_t part;
  bool writes;  ///< its unit's partial sum

  __device__ explicit Group(const Sharing<T>& sharing) : of_block(warp_of() * kWarpUnits + lane_of() / kUnitLanes) {
    const int number = static_cast<int>(blockIdx.x) * Sharing<T>::kBlockGroups + of_block;
    unit = number % sharing.units;
    first_strip = number / sharing.units;
    part = sharing.sums_in_block() ? static_cast<int64_t>(blockIdx.x) : first_strip;
    writes = !sharing.sums_in_block() || of_block < sharing.units;
  }

  /// The unit's partial sum, where this group writes; called by the whole block.
  __device__ float2 sum(const Sharing<T>& sharing, float2 own, float2 (*shared)[kUnitLanes]) const {
    if (!sharing.sums_in_block()) return own;
    const int lane = lane_of() % kUnitLanes;
    __syncthreads();
    shared[of_block][lane] = own;
    __syncthreads();
    float2 total{};
    for (int other = of_block; other < Sharing<T>::kBlockGroups; other += sharing.units) total += shared[other][lane];
    return total;
  }
};

}  // namespace codmoe::ops::cuda
