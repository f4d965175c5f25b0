// One tile of a weight gradient as a matrix product over positions: 128 inputs (taps times channels) times up to kCols
// filters. Both operands lie with positions as rows, so tensor cores read them transposed.
#pragma once

#include "elements.cuh"
#include "mma.cuh"
#include "tile_sums.cuh"

namespace codmoe::ops::cuda {

constexpr int kWeightStages = 3;

/// Positions of one stage: as many bytes for every type.
__host__ __device__ constexpr int weight_rows(Math math) { return kStageBytes / element_bytes(math); }
/// Columns of `cols` elements, in panels of 128 bytes a row.
__host__ __device__ constexpr int panels(int cols, Math math) {
  return (cols * element_bytes(math) + kStageBytes - 1) / kStageBytes;
}
__host__ __device__ constexpr int panel_bytes(Math math) { return weight_rows(math) * kStageBytes; }
__host__ __device__ constexpr int weight_stage_bytes(int cols, Math math) {
  return (panels(kTileRows, math) + panels(cols, math)) * panel_bytes(math);
}
__host__ __device__ constexpr int weight_tile_bytes(int cols, Math math) {
  return kWeightStages * weight_stage_bytes(cols, math);
}

/// What a tile multiplies, of one image: the map that the convolution read, from its first channel, and the gradient of
/// its result, from the tile's first filter.
template <class T>
struct WeightOperands {
  const T* source = nullptr;
  const T* gradient = nullptr;
};

template <Math kMath, int kCols>
class WeightTile {
 public:
  using T = typename Product<kMath>::Element;
  static constexpr int kColTiles = (kCols / 8 + 1) / 2;
  static constexpr int kSums = 2 * kColTiles * 4;
  static constexpr int kRows = weight_rows(kMath);

  /// Input `first_input` of the tile is tap first_input / in, channel first_input % in.
  __device__ WeightTile(int height, int width, int channels, int in, int kernel, int dilation, int first_input,
                        int filters, char* shared)
      : shared_(static_cast<uint32_t>(__cvta_generic_to_shared(shared))),
        bytes_(shared),
        height_(height),
        width_(width),
        channels_(channels),
        filters_(filters) {
    const int input = first_input + lane_of_copy() * kLanes<T>, tap = input / in;
    channel_ = input - tap * in;
    dy_ = tap < kernel * kernel ? (tap / kernel - kernel / 2) * dilation : kOutside;
    dx_ = (tap % kernel - kernel / 2) * dilation;
#pragma unroll
    for (int i = 0; i < kSums; ++i) sum[i] = 0.0F;
  }

  /// Adds all positions of `count` images; operands(i) gives those of image i.
  template <class Operands>
  __device__ void add_images(int count, Operands&& operands) {
    const int image_stages = (height_ * width_ + kRows - 1) / kRows, stages = count * image_stages;
    int image = 0, row = 0;
    const auto copy = [&](int slot) {
      if (image < count) {
        copy_stage(operands(image), row, slot);
        row += kRows;
        if (row >= height_ * width_) {
          row = 0;
          ++image;
        }
      }
      commit_copies();
    };
#pragma unroll 1
    for (int slot = 0; slot < kWeightStages - 1; ++slot) copy(slot);
    int slot = 0;
#pragma unroll 1
    for (int stage = 0; stage < stages; ++stage) {
      wait_for_copies<kWeightStages - 2>();
      __syncthreads();
      copy((slot + kWeightStages - 1) % kWeightStages);
      multiply(slot);
      slot = (slot + 1) % kWeightStages;
    }
    wait_for_copies<0>();
    __syncthreads();
  }

  /// As of WarpProducts.
  __device__ static int row_of(int pair) {
    return warp() % 4 * 32 + pair / (2 * kColTiles) * 16 + pair % 2 * 8 + lane() / 4;
  }
  __device__ static int col_of(int pair) { return first_col() + pair / 2 % kColTiles * 8 + lane() % 4 * 2; }

  float sum[kSums];

 private:
  static constexpr int kInputChunks = kTileRows / kLanes<T>;  ///< of a position
  static constexpr int kOutside = -(1 << 20);
  static constexpr int kPanelElements = kStageBytes / static_cast<int>(sizeof(T));

  __device__ static int warp() { return static_cast<int>(threadIdx.x) / 32; }
  __device__ static int lane() { return static_cast<int>(threadIdx.x) % 32; }
  __device__ static int first_col() { return warp() / 4 * kColTiles * 8; }
  __device__ static int lane_of_copy() { return static_cast<int>(threadIdx.x) % kInputChunks; }

  /// Chunk of row `row`: in panel chunk / 8.
  __device__ static uint32_t place(int row, int chunk) {
    return static_cast<uint32_t>(chunk / kRowChunks * panel_bytes(kMath)) + swizzled(row, chunk % kRowChunks);
  }

  __device__ void copy_stage(const WeightOperands<T>& from, int first_row, int slot) const {
    const uint32_t to = shared_ + static_cast<uint32_t>(slot * weight_stage_bytes(kCols, kMath));
    const int positions = height_ * width_;
    constexpr int step = kThreads / kInputChunks;
#pragma unroll
    for (int i = 0; i < kRows / step; ++i) {
      const int row = static_cast<int>(threadIdx.x) / kInputChunks + i * step, position = first_row + row;
      const int y = position / width_, x = position - y * width_;
      const bool present = position < positions && static_cast<unsigned>(y + dy_) < static_cast<unsigned>(height_) &&
                           static_cast<unsigned>(x + dx_) < static_cast<unsigned>(width_);
      const int64_t at = present ? static_cast<int64_t>(position + dy_ * width_ + dx_) * channels_ + channel_ : 0;
      copy_chunk(to + place(row, lane_of_copy()), from.source + at, present);
    }
    constexpr int chunks = kCols / kLanes<T>;
    const uint32_t filters = to + static_cast<uint32_t>(panels(kTileRows, kMath) * panel_bytes(kMath));
#pragma unroll
    for (int i = 0; i < (kRows * chunks + kThreads - 1) / kThreads; ++i) {
      const int item = static_cast<int>(threadIdx.x) + i * kThreads;
      if (item >= kRows * chunks) break;
      const int row = item / chunks, chunk = item % chunks, position = first_row + row;
      const bool present = position < positions && chunk * kLanes<T> < filters_;
      const int64_t at = present ? static_cast<int64_t>(position) * channels_ + chunk * kLanes<T> : 0;
      copy_chunk(filters + place(row, chunk), from.gradient + at, present);
    }
  }

  struct Fragments {
    uint32_t a[2][4];
    uint32_t b[kColTiles][2];
  };

  /// One step of 32 bytes of positions' worth: 16 of bfloat16, 8 of float.
  __device__ void load(Fragments& fragments, int slot, int step) const {
    if constexpr (sizeof(T) == 2) {
      load_transposed(fragments, slot, step);
    } else {
      load_scalars(fragments, slot, step);
    }
  }

  __device__ void load_transposed(Fragments& fragments, int slot, int step) const {
    const uint32_t inputs = shared_ + static_cast<uint32_t>(slot * weight_stage_bytes(kCols, kMath));
    const uint32_t filters = inputs + static_cast<uint32_t>(panels(kTileRows, kMath) * panel_bytes(kMath));
#pragma unroll
    for (int i = 0; i < 2; ++i) {
      const int chunk = warp() % 4 * 4 + i * 2 + lane() / 8 % 2, row = step * 16 + lane() / 16 * 8 + lane() % 8;
      load_matrices_transposed(fragments.a[i], inputs + place(row, chunk));
    }
#pragma unroll
    for (int j = 0; j < kColTiles; j += 2) {
      const int chunk = min(first_col() / 8 + j + lane() / 16, kCols / 8 - 1);
      const int row = step * 16 + lane() / 8 % 2 * 8 + lane() % 8;
      uint32_t b[4];
      load_matrices_transposed(b, filters + place(row, chunk));
      fragments.b[j][0] = b[0];
      fragments.b[j][1] = b[1];
      if (j + 1 < kColTiles) {
        fragments.b[j + 1][0] = b[2];
        fragments.b[j + 1][1] = b[3];
      }
    }
  }

  __device__ uint32_t scalar(const char* base, int row, int element) const {
    const char* chunk = base + place(row, element / kLanes<T>);
    return reinterpret_cast<const uint32_t*>(chunk)[element % kLanes<T>];
  }

  __device__ void load_scalars(Fragments& fragments, int slot, int step) const {
    const char* inputs = bytes_ + slot * weight_stage_bytes(kCols, kMath);
    const char* filters = inputs + panels(kTileRows, kMath) * panel_bytes(kMath);
    const int row = step * 8 + lane() % 4;
#pragma unroll
    for (int i = 0; i < 2; ++i) {
      const int input = warp() % 4 * 32 + i * 16 + lane() / 4;
#pragma unroll
      for (int k = 0; k < 4; ++k) fragments.a[i][k] = scalar(inputs, row + k / 2 * 4, input + k % 2 * 8);
    }
#pragma unroll
    for (int j = 0; j < kColTiles; ++j) {
      const int filter = min(first_col() + j * 8 + lane() / 4, kCols - 1);
#pragma unroll
      for (int k = 0; k < 2; ++k) fragments.b[j][k] = scalar(filters, row + k * 4, filter);
    }
  }

  __device__ void multiply(int slot) {
    constexpr int steps = kRows * static_cast<int>(sizeof(T)) / 32;
#pragma unroll
    for (int step = 0; step < steps; ++step) {
      Fragments fragments;
      load(fragments, slot, step);
#pragma unroll
      for (int j = 0; j < kColTiles; ++j) {
#pragma unroll
        for (int i = 0; i < 2; ++i) Product<kMath>::add(&sum[(i * kColTiles + j) * 4], fragments.a[i], fragments.b[j]);
      }
    }
  }

  uint32_t shared_;
  char* bytes_;
  int height_, width_, channels_, filters_;
  int channel_, dy_, dx_;  ///< of the inputs that this thread copies
};

}  // namespace codmoe::ops::cuda
