// One tile of a convolution as an implicit matrix product: 128 positions of an image times up to kCols filters. The
// inner dimension runs over taps and channels in chunks of 16 bytes, so no column matrix is ever stored, and a tap
// outside the image copies zeros.
#pragma once

#include "elements.cuh"
#include "mma.cuh"

namespace codmoe::ops::cuda {

constexpr int kStages = 4;  ///< in shared memory at once

__host__ __device__ constexpr int stage_bytes(int cols) { return (kTileRows + cols) * kStageBytes; }
__host__ __device__ constexpr int tile_bytes(int cols) { return kStages * stage_bytes(cols); }

/// Where a tile reads and what it multiplies with.
template <class T>
struct TileOperands {
  const T* map = nullptr;     ///< first channel that the convolution reads, at position 0
  int map_channels = 0;       ///< elements from one position to the next
  const T* weight = nullptr;  ///< first filter of the tile
  int filters = 0;            ///< of the tile
  int in = 0, kernel = 1, dilation = 1;

  __device__ int chunks() const { return kernel * kernel * in / kLanes<T>; }
  __device__ int stages() const { return (chunks() + kRowChunks - 1) / kRowChunks; }
};

template <Math kMath, int kCols>
class ConvTile {
 public:
  using T = typename Product<kMath>::Element;
  static constexpr int kColTiles = (kCols / 8 + 1) / 2;  ///< 8 columns each, of one warp: half of the tile's

  /// `shared` holds tile_bytes(kCols).
  __device__ ConvTile(int height, int width, int first_position, char* shared)
      : shared_(static_cast<uint32_t>(__cvta_generic_to_shared(shared))), height_(height), width_(width) {
#pragma unroll
    for (int i = 0; i < kRowsAThread; ++i) {
      position_[i] = first_position + copy_row(i);
      y_[i] = position_[i] < height * width ? position_[i] / width : kOutside;
      x_[i] = position_[i] % width;
    }
  }

  /// Begins the sum over the stages [first, last), eight chunks each: queues the first copies. Other work may follow
  /// before `finish`, which waits for them.
  __device__ void begin(const TileOperands<T>& operands, int first, int last) {
    of_ = operands;
    chunks_ = operands.chunks();
    tap_chunks_ = operands.in / kLanes<T>;
    next_ = first;
    last_ = last;
    chunk_ = first * kRowChunks + copy_lane();
    const int tap = chunk_ / tap_chunks_;
    tap_chunk_ = chunk_ - tap * tap_chunks_;
    tap_y_ = tap / operands.kernel;
    tap_x_ = tap - tap_y_ * operands.kernel;
#pragma unroll
    for (int i = 0; i < 2 * kColTiles * 4; ++i) (&sum[0][0][0])[i] = 0.0F;
#pragma unroll 1
    for (int slot = 0; slot < kStages - 1; ++slot) copy_stage(slot);
  }

  /// Leaves the sums in `sum`, and the shared memory free.
  __device__ void finish() {
    int slot = 0;
#pragma unroll 1
    for (int stage = next_ - (kStages - 1); stage < last_; ++stage) {
      wait_for_copies<kStages - 2>();
      __syncthreads();
      copy_stage((slot + kStages - 1) % kStages);
      multiply(chunks_ - stage * kRowChunks, slot);
      slot = (slot + 1) % kStages;
    }
    wait_for_copies<0>();
    __syncthreads();
  }

  /// Row i in [0, 4) and the first of two columns j of this thread's sums: sum[i / 2][j][i % 2 * 2]. Eight warps share
  /// the tile as four by two. Columns may lie beyond kCols.
  __device__ static int row_of(int i) { return warp() % 4 * 32 + i * 8 + static_cast<int>(threadIdx.x % 32) / 4; }
  __device__ static int col_of(int j) { return first_col() + j * 8 + static_cast<int>(threadIdx.x % 4) * 2; }

  float sum[2][kColTiles][4];

 private:
  static constexpr int kRowStep = kThreads / kRowChunks;
  static constexpr int kRowsAThread = kTileRows / kRowStep;
  static constexpr int kFiltersAThread = (kCols + kRowStep - 1) / kRowStep;
  static constexpr int kOutside = -(1 << 20);

  __device__ static int warp() { return static_cast<int>(threadIdx.x) / 32; }
  __device__ static int first_col() { return warp() / 4 * kColTiles * 8; }
  __device__ static int copy_lane() { return static_cast<int>(threadIdx.x) % kRowChunks; }
  __device__ static int copy_row(int i) { return static_cast<int>(threadIdx.x) / kRowChunks + i * kRowStep; }

  /// Queues the copies of the next stage, if there is one, and closes their group.
  __device__ void copy_stage(int slot) {
    if (next_ < last_) {
      const uint32_t rows = shared_ + static_cast<uint32_t>(slot * stage_bytes(kCols));
      copy_rows(rows);
      copy_filters(rows + kTileRows * kStageBytes);
      advance();
    }
    ++next_;
    commit_copies();
  }

  __device__ void copy_rows(uint32_t to) const {
    const int dy = (tap_y_ - of_.kernel / 2) * of_.dilation, dx = (tap_x_ - of_.kernel / 2) * of_.dilation;
    const T* tap_map = of_.map + (dy * width_ + dx) * of_.map_channels + tap_chunk_ * kLanes<T>;
    const auto height = static_cast<unsigned>(chunk_ < chunks_ ? height_ : 0), width = static_cast<unsigned>(width_);
#pragma unroll
    for (int i = 0; i < kRowsAThread; ++i) {
      const bool present = static_cast<unsigned>(y_[i] + dy) < height && static_cast<unsigned>(x_[i] + dx) < width;
      copy_chunk(to + swizzled(copy_row(i), copy_lane()), present ? tap_map + position_[i] * of_.map_channels : of_.map,
                 present);
    }
  }

  __device__ void copy_filters(uint32_t to) const {
#pragma unroll
    for (int i = 0; i < kFiltersAThread; ++i) {
      const int filter = copy_row(i);
      if (filter >= kCols) break;
      const bool present = chunk_ < chunks_ && filter < of_.filters;
      const int at = present ? (filter * chunks_ + chunk_) * kLanes<T> : 0;
      copy_chunk(to + swizzled(filter, copy_lane()), of_.weight + at, present);
    }
  }

  __device__ void advance() {
    chunk_ += kRowChunks;
    tap_chunk_ += kRowChunks;
    while (tap_chunk_ >= tap_chunks_) {
      tap_chunk_ -= tap_chunks_;
      if (++tap_x_ == of_.kernel) {
        tap_x_ = 0;
        ++tap_y_;
      }
    }
  }

  /// What one warp multiplies in one step of two chunks.
  struct Fragments {
    uint32_t a[2][4];
    uint32_t b[(kColTiles + 1) / 2][4];
  };

  __device__ void load(Fragments& fragments, uint32_t rows, int step) const {
    const int lane = static_cast<int>(threadIdx.x) % 32;
    const uint32_t filters = rows + kTileRows * kStageBytes;
#pragma unroll
    for (int i = 0; i < 2; ++i)
      load_matrices(fragments.a[i], rows + swizzled(warp() % 4 * 32 + i * 16 + lane % 16, 2 * step + lane / 16));
#pragma unroll
    for (int j = 0; j < (kColTiles + 1) / 2; ++j) {
      const int filter = min(first_col() + j * 16 + lane / 16 * 8 + lane % 8, kCols - 1);
      load_matrices(fragments.b[j], filters + swizzled(filter, 2 * step + lane / 8 % 2));
    }
  }

  __device__ void add(const Fragments& fragments) {
#pragma unroll
    for (int j = 0; j < kColTiles; ++j) {
      const uint32_t b[2] = {fragments.b[j / 2][j % 2 * 2], fragments.b[j / 2][j % 2 * 2 + 1]};
#pragma unroll
      for (int i = 0; i < 2; ++i) Product<kMath>::add(sum[i][j], fragments.a[i], b);
    }
  }

  /// One stage of which `left` chunks are in the sum; the others hold zeros. A step's fragments load during the
  /// products of the one before.
  __device__ void multiply(int left, int slot) {
    const uint32_t rows = shared_ + static_cast<uint32_t>(slot * stage_bytes(kCols));
    Fragments fragments[2];
    load(fragments[0], rows, 0);
#pragma unroll
    for (int step = 0; step < kRowChunks / 2; ++step) {
      if (2 * step >= left) break;
      if (step + 1 < kRowChunks / 2) load(fragments[(step + 1) % 2], rows, step + 1);
      add(fragments[step % 2]);
    }
  }

  TileOperands<T> of_;
  uint32_t shared_;
  int height_, width_;
  int y_[kRowsAThread], x_[kRowsAThread], position_[kRowsAThread];
  int chunks_ = 0, tap_chunks_ = 0;                        // of the sum, and of one tap
  int next_ = 0, last_ = 0;                                // stages: the next to copy, and the end
  int chunk_ = 0, tap_chunk_ = 0, tap_x_ = 0, tap_y_ = 0;  // what this thread copies next
};

}  // namespace codmoe::ops::cuda
