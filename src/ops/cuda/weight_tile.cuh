// One tile of a weight gradient as a matrix product over positions: 128 inputs (taps times channels) times up to kCols
// filters. Both operands lie with positions as rows, so tensor cores read them transposed.
#pragma once

#include <type_traits>

#include "elements.cuh"
#include "group_products.cuh"
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

/// Chunk of row `row`: in panel chunk / 8.
template <Math kMath>
__device__ inline uint32_t weight_place(int row, int chunk) {
  return static_cast<uint32_t>(chunk / kRowChunks * panel_bytes(kMath)) + swizzled(row, chunk % kRowChunks);
}

/// The products by mma.sync, eight warps as four by two.
template <Math kMath, int kCols>
class WarpWeightProducts {
  using T = typename Product<kMath>::Element;
  static constexpr int kColTiles = (kCols / 8 + 1) / 2;

 public:
  static constexpr int kSums = 2 * kColTiles * 4;

  /// As of WarpProducts.
  __device__ static int row_of(int pair) {
    return warp() % 4 * 32 + pair / (2 * kColTiles) * 16 + pair % 2 * 8 + lane() / 4;
  }
  __device__ static int col_of(int pair) { return first_col() + pair / 2 % kColTiles * 8 + lane() % 4 * 2; }
  __device__ static void publish_copies() {}
  __device__ static void settle(float (&)[kSums]) {}

  /// Adds one stage; of float32 rounded once, as WarpProducts does.
  __device__ static void add(const char* inputs, const char* filters, float (&sum)[kSums]) {
    if constexpr (kMath == Math::float32) {
      float stage[kSums] = {};
      add_stage(inputs, filters, stage);
#pragma unroll
      for (int i = 0; i < kSums; ++i) sum[i] += stage[i];
    } else {
      add_stage(inputs, filters, sum);
    }
  }

 private:
  __device__ static void add_stage(const char* inputs, const char* filters, float (&sum)[kSums]) {
    constexpr int steps = weight_rows(kMath) * static_cast<int>(sizeof(T)) / 32;
#pragma unroll
    for (int step = 0; step < steps; ++step) {
      Fragments fragments;
      load(fragments, inputs, filters, step);
#pragma unroll
      for (int j = 0; j < kColTiles; ++j) {
#pragma unroll
        for (int i = 0; i < 2; ++i) Product<kMath>::add(&sum[(i * kColTiles + j) * 4], fragments.a[i], fragments.b[j]);
      }
    }
  }

  __device__ static int warp() { return static_cast<int>(threadIdx.x) / 32; }
  __device__ static int lane() { return static_cast<int>(threadIdx.x) % 32; }
  __device__ static int first_col() { return warp() / 4 * kColTiles * 8; }

  struct Fragments {
    uint32_t a[2][4];
    uint32_t b[kColTiles][2];
  };

  /// One step of 32 bytes of positions' worth: 16 of bfloat16, 8 of float.
  __device__ static void load(Fragments& fragments, const char* inputs, const char* filters, int step) {
    if constexpr (sizeof(T) == 2) {
      load_transposed(fragments, inputs, filters, step);
    } else {
      load_scalars(fragments, inputs, filters, step);
    }
  }

  __device__ static void load_transposed(Fragments& fragments, const char* inputs, const char* filters, int step) {
    const uint32_t a = shared_address(inputs), b_base = shared_address(filters);
#pragma unroll
    for (int i = 0; i < 2; ++i) {
      const int chunk = warp() % 4 * 4 + i * 2 + lane() / 8 % 2, row = step * 16 + lane() / 16 * 8 + lane() % 8;
      load_matrices_transposed(fragments.a[i], a + weight_place<kMath>(row, chunk));
    }
#pragma unroll
    for (int j = 0; j < kColTiles; j += 2) {
      const int chunk = min(first_col() / 8 + j + lane() / 16, kCols / 8 - 1);
      const int row = step * 16 + lane() / 8 % 2 * 8 + lane() % 8;
      uint32_t b[4];
      load_matrices_transposed(b, b_base + weight_place<kMath>(row, chunk));
      fragments.b[j][0] = b[0];
      fragments.b[j][1] = b[1];
      if (j + 1 < kColTiles) {
        fragments.b[j + 1][0] = b[2];
        fragments.b[j + 1][1] = b[3];
      }
    }
  }

  __device__ static uint32_t scalar(const char* base, int row, int element) {
    const char* chunk = base + weight_place<kMath>(row, element / kLanes<T>);
    return reinterpret_cast<const uint32_t*>(chunk)[element % kLanes<T>];
  }

  __device__ static void load_scalars(Fragments& fragments, const char* inputs, const char* filters, int step) {
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
};

/// The products by wgmma: each of two warpgroups takes 64 inputs.
template <int kCols>
class GroupWeightProducts {
 public:
  static constexpr int kSums = GroupProducts<kCols>::kSums;
  __device__ static int row_of(int pair) { return GroupProducts<kCols>::row_of(pair); }
  __device__ static int col_of(int pair) { return GroupProducts<kCols>::col_of(pair); }
  __device__ static void publish_copies() { publish_to_tensor_cores(); }
  __device__ static void settle(float (&sum)[kSums]) { settle_products(sum); }

  /// Begins to add one stage.
  __device__ static void add(const char* inputs, const char* filters, float (&sum)[kSums]) {
    constexpr uint32_t panel = panel_bytes(Math::bfloat16), step_bytes = 16 * kStageBytes;
    const uint64_t a = group_operand(shared_address(inputs) + threadIdx.x / 128 * panel, panel);
    const uint64_t b = group_operand(shared_address(filters), panel);
    begin_products();
#pragma unroll
    for (unsigned step = 0; step < weight_rows(Math::bfloat16) / 16; ++step)
      multiply_group<kCols, true>(a + (step * step_bytes >> 4), b + (step * step_bytes >> 4), sum);
    commit_products();
  }
};

#ifdef __CUDA_ARCH_FEAT_SM90_ALL
template <Math kMath, int kCols>
using WeightProducts =
    std::conditional_t<kMath == Math::bfloat16, GroupWeightProducts<kCols>, WarpWeightProducts<kMath, kCols>>;
#else
template <Math kMath, int kCols>
using WeightProducts = WarpWeightProducts<kMath, kCols>;
#endif

template <Math kMath, int kCols>
class WeightTile : private WeightProducts<kMath, kCols> {
  using Base = WeightProducts<kMath, kCols>;

 public:
  using T = typename Product<kMath>::Element;
  using Base::col_of;
  using Base::kSums;
  using Base::row_of;

  /// Input `first_input` of the tile is tap first_input / in, channel first_input % in.
  __device__ WeightTile(int height, int width, int channels, int in, int kernel, int dilation, int first_input,
                        int filters, char* shared)
      : shared_(shared),
        height_(height),
        width_(width),
        position_bytes_(channels * static_cast<int>(sizeof(T))),
        skip_y_(kRows / width),
        skip_x_(kRows % width) {
    const int input = first_input + copy_lane() * kLanes<T>, tap = input / in;
    dy_ = tap < kernel * kernel ? (tap / kernel - kernel / 2) * dilation : kOutside;
    dx_ = (tap % kernel - kernel / 2) * dilation;
    const int from = copy_row() + (tap < kernel * kernel ? dy_ * width + dx_ : 0);
    source_offset_ = from * position_bytes_ + (input - tap * in) * static_cast<int>(sizeof(T));
#pragma unroll
    for (int i = 0; i < kFilterCopies; ++i) {
      const int item = static_cast<int>(threadIdx.x) + i * kThreads, row = item / kFilterChunks;
      const int chunk = item % kFilterChunks;
      filter_row_[i] = row < kRows && chunk * kLanes<T> < filters ? row : kOutsideRow;
      filter_offset_[i] = row * position_bytes_ + chunk * kChunkBytes;
      filter_place_[i] = row < kRows ? weight_place<kMath>(row, chunk) : 0;
    }
#pragma unroll
    for (int i = 0; i < kSums; ++i) sum[i] = 0.0F;
  }

  /// Adds all positions of `count` images; operands(i) gives those of image i.
  template <class Operands>
  __device__ void add_images(int count, Operands&& operands) {
    const int positions = height_ * width_, stages = count * ((positions + kRows - 1) / kRows);
    int image = 0, left = 0;  // positions of the image that are to be copied
    const auto copy = [&](int slot) {
      if (left <= 0 && image < count) {
        enter(operands(image++));
        left = positions;
      }
      if (left > 0) {
        copy_stage(left, slot);
        left -= kRows;
      }
      commit_copies();
    };
#pragma unroll 1
    for (int slot = 0; slot < kWeightStages - 1; ++slot) copy(slot);
    int slot = 0;
#pragma unroll 1
    for (int stage = 0; stage < stages; ++stage) {
      wait_for_copies<kWeightStages - 2>();
      Base::publish_copies();
      Base::settle(sum);
      __syncthreads();
      const char* inputs = shared_ + slot * weight_stage_bytes(kCols, kMath);
      Base::add(inputs, inputs + panels(kTileRows, kMath) * panel_bytes(kMath), sum);
      copy((slot + kWeightStages - 1) % kWeightStages);
      slot = (slot + 1) % kWeightStages;
    }
    wait_for_copies<0>();
    Base::settle(sum);
    __syncthreads();
  }

  float sum[kSums];

 private:
  static constexpr int kRows = weight_rows(kMath);
  static constexpr int kInputChunks = kTileRows / kLanes<T>;  ///< of a position
  static constexpr int kRowStep = kThreads / kInputChunks;
  static constexpr int kRowsAThread = kRows / kRowStep;
  static constexpr int kFilterChunks = kCols / kLanes<T>;
  static constexpr int kFilterCopies = (kRows * kFilterChunks + kThreads - 1) / kThreads;
  static constexpr int kOutside = -(1 << 20), kOutsideRow = 1 << 20;

  __device__ static int copy_lane() { return static_cast<int>(threadIdx.x) % kInputChunks; }
  __device__ static int copy_row() { return static_cast<int>(threadIdx.x) / kInputChunks; }

  /// Begins to copy another image.
  __device__ void enter(const WeightOperands<T>& from) {
    source_ = reinterpret_cast<const char*>(from.source) + source_offset_;
    gradient_ = reinterpret_cast<const char*>(from.gradient);
#pragma unroll
    for (int i = 0; i < kRowsAThread; ++i) {
      y_[i] = (copy_row() + i * kRowStep) / width_;
      x_[i] = (copy_row() + i * kRowStep) % width_;
    }
  }

  /// `left` positions of the image, this stage's included, are to be copied. Addresses outside it are not read.
  __device__ void copy_stage(int left, int slot) {
    const uint32_t to = shared_address(shared_ + slot * weight_stage_bytes(kCols, kMath));
#pragma unroll
    for (int i = 0; i < kRowsAThread; ++i) {
      const bool present = static_cast<unsigned>(y_[i]) < static_cast<unsigned>(height_) &&
                           static_cast<unsigned>(y_[i] + dy_) < static_cast<unsigned>(height_) &&
                           static_cast<unsigned>(x_[i] + dx_) < static_cast<unsigned>(width_);
      copy_chunk(to + weight_place<kMath>(copy_row(), copy_lane()) + i * kRowStep * kStageBytes,
                 source_ + i * kRowStep * position_bytes_, present);
      y_[i] += skip_y_;
      x_[i] += skip_x_;
      if (x_[i] >= width_) {
        x_[i] -= width_;
        ++y_[i];
      }
    }
    const uint32_t filters = to + static_cast<uint32_t>(panels(kTileRows, kMath) * panel_bytes(kMath));
#pragma unroll
    for (int i = 0; i < kFilterCopies; ++i) {
      if (static_cast<int>(threadIdx.x) + i * kThreads >= kRows * kFilterChunks) break;
      copy_chunk(filters + filter_place_[i], gradient_ + filter_offset_[i], filter_row_[i] < left);
    }
    source_ += kRows * position_bytes_;
    gradient_ += kRows * position_bytes_;
  }

  char* shared_;
  int height_, width_, position_bytes_;
  int skip_y_, skip_x_;  // from one stage to the next
  int dy_, dx_;          // of the inputs that this thread copies
  int source_offset_;
  int filter_row_[kFilterCopies], filter_offset_[kFilterCopies];
  uint32_t filter_place_[kFilterCopies];
  // What this thread copies next.
  int y_[kRowsAThread], x_[kRowsAThread];
  const char* source_ = nullptr;
  const char* gradient_ = nullptr;
};

}  // namespace codmoe::ops::cuda
