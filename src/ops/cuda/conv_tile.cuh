// One tile of a convolution as an implicit matrix product: 128 positions of an image times up to kCols filters. The
// inner dimension runs over taps and channels in chunks of 16 bytes, so no column matrix is ever stored, and a tap
// outside the image copies zeros.
#pragma once

#include <type_traits>

#include "elements.cuh"
#include "group_products.cuh"
#include "warp_products.cuh"

namespace codmoe::ops::cuda {

constexpr int kStages = 3;  ///< in shared memory at once

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

// wgmma where the code is for exactly that GPU. It would cut TF32 operands off instead of rounding them, and cannot
// split float32's.
#ifdef __CUDA_ARCH_FEAT_SM90_ALL
template <Math kMath, int kCols>
using Products = std::conditional_t<kMath == Math::bfloat16, GroupProducts<kCols>, WarpProducts<kMath, kCols>>;
#else
template <Math kMath, int kCols>
using Products = WarpProducts<kMath, kCols>;
#endif

template <Math kMath, int kCols>
class ConvTile : private Products<kMath, kCols> {
  using Base = Products<kMath, kCols>;

 public:
  using T = typename Product<kMath>::Element;
  using Base::col_of;
  using Base::kSums;
  using Base::row_of;

  /// `shared` holds tile_bytes(kCols), aligned to 1024.
  __device__ ConvTile(int height, int width, int first_position, char* shared)
      : copies_(shared_address(shared) + swizzled(copy_row(0), copy_lane())),
        shared_(shared_address(shared)),
        height_(height),
        width_(width) {
#pragma unroll
    for (int i = 0; i < kRowsAThread; ++i) {
      position_[i] = first_position + copy_row(i);
      y_[i] = position_[i] < height * width ? position_[i] / width : kOutside;
      x_[i] = position_[i] % width;
    }
  }

  __device__ void clear() {
#pragma unroll
    for (int i = 0; i < kSums; ++i) sum[i] = 0.0F;
  }

  __device__ void negate() {
#pragma unroll
    for (int i = 0; i < kSums; ++i) sum[i] = -sum[i];
  }

  /// Begins to add the stages [first, last) to the sum, eight chunks each: queues the first copies. Other work may
  /// follow before `finish`, which waits for them.
  __device__ void begin(const TileOperands<T>& operands, int first, int last) {
    map_ = reinterpret_cast<const char*>(operands.map);
    position_bytes_ = operands.map_channels * static_cast<int>(sizeof(T));
    chunks_ = operands.chunks();
    tap_chunks_ = operands.in / kLanes<T>;
    dilation_ = operands.dilation;
    reach_ = operands.kernel / 2 * operands.dilation;
    next_ = first;
    last_ = last;
    chunk_ = first * kRowChunks + copy_lane();
    const int tap = chunk_ / tap_chunks_, tap_y = tap / operands.kernel;
    tap_chunk_ = chunk_ - tap * tap_chunks_;
    dy_ = tap_y * dilation_ - reach_;
    dx_ = (tap - tap_y * operands.kernel) * dilation_ - reach_;
    source_ = source();
    filter_step_ = kRowStep * chunks_ * kChunkBytes;
    filters_ = operands.filters - copy_row(0);
    filter_ = reinterpret_cast<const char*>(operands.weight) + (copy_row(0) * chunks_ + chunk_) * kChunkBytes;
#pragma unroll 1
    for (int slot = 0; slot < kStages - 1; ++slot) copy_stage(slot);
  }

  /// Leaves the sums in `sum`, and the shared memory free.
  __device__ void finish() {
    int slot = 0;
#pragma unroll 1
    for (int stage = next_ - (kStages - 1); stage < last_; ++stage) {
      wait_for_copies<kStages - 2>();
      Base::publish_copies();
      Base::settle(sum);
      __syncthreads();
      const uint32_t rows = shared_ + static_cast<uint32_t>(slot * stage_bytes(kCols));
      Base::add(rows, rows + kTileRows * kStageBytes, chunks_ - stage * kRowChunks, sum);
      copy_stage((slot + kStages - 1) % kStages);
      slot = (slot + 1) % kStages;
    }
    wait_for_copies<0>();
    Base::settle(sum);
    __syncthreads();
  }

  float sum[kSums];

 private:
  static constexpr int kRowStep = kThreads / kRowChunks;
  static constexpr int kRowsAThread = kTileRows / kRowStep;
  static constexpr int kFiltersAThread = (kCols + kRowStep - 1) / kRowStep;
  static constexpr int kOutside = -(1 << 20);

  __device__ static int copy_lane() { return static_cast<int>(threadIdx.x) % kRowChunks; }
  __device__ static int copy_row(int i) { return static_cast<int>(threadIdx.x) / kRowChunks + i * kRowStep; }

  /// Where the tap and chunk that this thread copies next lie for position 0.
  __device__ const char* source() const {
    return map_ + static_cast<int64_t>((dy_ * width_ + dx_) * position_bytes_ + tap_chunk_ * kChunkBytes);
  }

  /// Queues the copies of the next stage, if there is one, and closes their group.
  __device__ void copy_stage(int slot) {
    if (next_ < last_) {
      const uint32_t to = copies_ + static_cast<uint32_t>(slot * stage_bytes(kCols));
      const bool inside = chunk_ < chunks_;
      copy_rows(to, inside);
      copy_filters(to + kTileRows * kStageBytes, inside);
      advance();
    }
    ++next_;
    commit_copies();
  }

  __device__ void copy_rows(uint32_t to, bool inside) const {
#pragma unroll
    for (int i = 0; i < kRowsAThread; ++i) {
      const bool present = inside && static_cast<unsigned>(y_[i] + dy_) < static_cast<unsigned>(height_) &&
                           static_cast<unsigned>(x_[i] + dx_) < static_cast<unsigned>(width_);
      copy_chunk(to + i * kRowStep * kStageBytes, source_ + position_[i] * position_bytes_, present);
    }
  }

  __device__ void copy_filters(uint32_t to, bool inside) const {
#pragma unroll
    for (int i = 0; i < kFiltersAThread; ++i) {
      if (copy_row(i) >= kCols) break;
      copy_chunk(to + i * kRowStep * kStageBytes, filter_ + i * filter_step_, inside && i * kRowStep < filters_);
    }
  }

  __device__ void advance() {
    chunk_ += kRowChunks;
    tap_chunk_ += kRowChunks;
    source_ += kStageBytes;
    filter_ += kStageBytes;
    if (tap_chunk_ < tap_chunks_) return;
    while (tap_chunk_ >= tap_chunks_) {
      tap_chunk_ -= tap_chunks_;
      dx_ += dilation_;
      if (dx_ > reach_) {
        dx_ = -reach_;
        dy_ += dilation_;
      }
    }
    source_ = source();
  }

  uint32_t copies_, shared_;  // where this thread's first copy goes; all
  int height_, width_;
  int y_[kRowsAThread], x_[kRowsAThread], position_[kRowsAThread];
  const char* map_ = nullptr;
  int position_bytes_ = 0;
  int chunks_ = 0, tap_chunks_ = 0;  // of the sum, and of one tap
  int dilation_ = 1, reach_ = 0;     // of the taps, and from the centre to the outermost
  int next_ = 0, last_ = 0;          // stages: the next to copy, and the end
  // What this thread copies next. Addresses outside the map are not read.
  int chunk_ = 0, tap_chunk_ = 0, dy_ = 0, dx_ = 0;
  const char* source_ = nullptr;
  const char* filter_ = nullptr;
  int filters_ = 0, filter_step_ = 0;  // from this thread's first on
};

}  // namespace codmoe::ops::cuda
