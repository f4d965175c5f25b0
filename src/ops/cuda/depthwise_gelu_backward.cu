#include <algorithm>

#include "column_sums.h"
#include "depthwise_gelu.h"
#include "depthwise_strips.cuh"
#include "previous_kernel.cuh"

namespace codmoe::ops::cuda {

namespace {

constexpr int kBlocksPerProcessor = 3;
constexpr int kProcessors = 132;  ///< of the H100

/// Maps of the backward.
template <class T>
struct Maps {
  const T *x, *grad_y, *slope;
  T* grad_x;
};

/// What a warp sums up for its channels over all its strips.
struct GradientSums {
  Taps weight;
  float2 bias, x_bias;
};

/// A warp's rows in shared memory: of x those around the row at work, of the others that one; and what is on its way.
template <class T>
struct Rows {
  static constexpr int kAhead = sizeof(T) == 2 ? 2 : 1;  ///< as much as a block may have without asking
  static constexpr int kInputs = kAhead + 3, kGradients = kAhead + 1;
  RowSlot<T> x[kInputs], grad_y[kGradients], slope[kGradients];
};

/// One strip's way through the maps.
template <class T>
class StripBack {
 public:
  __device__ StripBack(const DepthwiseGelu& conv, const Maps<T>& maps, const Strip& strip, Rows<T>& rows)
      : maps_(maps),
        strip_(strip),
        rows_(rows),
        copier_(conv, strip),
        shifted_(conv, strip),
        columns_(static_cast<int>(conv.width) - strip.column),
        channels_(conv.channels),
        row_step_(conv.width * conv.channels),
        to_(maps.grad_x + strip.image +
            (static_cast<int64_t>(strip.row - 2) * conv.width + strip.column) * conv.channels + first_channel(conv) +
            2 * lane_of()) {}

  __device__ void run(const Taps& taps, GradientSums& sums) {
    begin();
    const float2 zero{0.0F, 0.0F};
    ThreeRows results(zero);  // gradients of x's rows above, at and below the row at work
                              // Results a row outside the strip have gradients for its inputs.
#pragma unroll 1
    for (int row = strip_.row - 1; row <= end(); ++row) {
      wait_for_copies<kAhead - 1>();
      __syncwarp();  // the other lanes' copies are there, and the slots to be filled have been read by all
      ask_for(row + kAhead);
      float2 grads[kStripInputs];
      load_gradients(grads);
      hand_back(taps, grads, results);
      if (row >= strip_.row && row < end()) add_weights(row, grads, sums);
      if (row > strip_.row) store(results.above, sums);
      results.move_up(zero);
      advance();
    }
  }

 private:
  static constexpr int kAhead = Rows<T>::kAhead;

  __device__ int end() const { return strip_.row + strip_.rows; }

  __device__ void begin() {
    __syncwarp();  // all lanes have read the last strip's rows
    copier_.copy(maps_.x, strip_.row - 1, rows_.x[0]);
#pragma unroll
    for (int i = 0; i < kAhead; ++i) {
      copier_.copy(maps_.x, strip_.row + i, rows_.x[i + 1]);
      copier_.copy(maps_.grad_y, strip_.row - 1 + i, rows_.grad_y[i]);
      copier_.copy(maps_.slope, strip_.row - 1 + i, rows_.slope[i]);
      commit_copies();
    }
  }

  /// For the iteration of `row`: its gradients, and the row of x below.
  __device__ void ask_for(int row) {
    if (row <= end()) {
      copier_.copy(maps_.x, row + 1, rows_.x[free_x_]);
      copier_.copy(maps_.grad_y, row, rows_.grad_y[free_]);
      copier_.copy(maps_.slope, row, rows_.slope[free_]);
    }
    commit_copies();
  }

  /// Those of the convolution's results, of y's and GELU's slopes.
  __device__ void load_gradients(float2 (&grads)[kStripInputs]) const {
#pragma unroll
    for (int i = 0; i < kStripInputs; ++i) grads[i] = rows_.grad_y[slot_].pair(i) * rows_.slope[slot_].pair(i);
  }

  /// Results of a row read inputs of the rows around it by the taps 0 to 2, and hand their gradients back so.
  __device__ static void hand_back(const Taps& taps, const float2 (&grads)[kStripInputs], ThreeRows& results) {
#pragma unroll
    for (int i = 0; i < kStripColumns; ++i) {
#pragma unroll
      for (int tap = 0; tap < 3; ++tap) {
        add_product(results.above[i], taps.at[0][tap], grads[i + 2 - tap]);
        add_product(results.level[i], taps.at[1][tap], grads[i + 2 - tap]);
        add_product(results.below[i], taps.at[2][tap], grads[i + 2 - tap]);
      }
    }
  }

  __device__ void add_weights(int row, const float2 (&grads)[kStripInputs], GradientSums& sums) const {
#pragma unroll
    for (int i = 0; i < kStripColumns; ++i) sums.bias += grads[i + 1];
    int from = above_;
#pragma unroll
    for (int r = 0; r < 3; ++r) {
      float2 inputs[kStripInputs];
      shifted_.load(rows_.x[from], row - 1 + r, inputs);
      from = next_slot<Rows<T>::kInputs>(from);
#pragma unroll
      for (int i = 0; i < kStripColumns; ++i) {
#pragma unroll
        for (int tap = 0; tap < 3; ++tap) add_product(sums.weight.at[r][tap], grads[i + 1], inputs[i + tap]);
      }
    }
  }

  __device__ void store(const float2 (&grad_x)[kStripColumns], GradientSums& sums) const {
#pragma unroll
    for (int i = 0; i < kStripColumns; ++i) {
      if (i >= columns_) continue;
      store_pair(to_ + i * channels_, grad_x[i]);
      sums.x_bias += grad_x[i];
    }
  }

  __device__ void advance() {
    above_ = next_slot<Rows<T>::kInputs>(above_);
    free_x_ = next_slot<Rows<T>::kInputs>(free_x_);
    slot_ = next_slot<Rows<T>::kGradients>(slot_);
    free_ = next_slot<Rows<T>::kGradients>(free_);
    to_ += row_step_;
  }

  const Maps<T>& maps_;
  const Strip& strip_;
  Rows<T>& rows_;
  RowCopier<T> copier_;
  ShiftedRow shifted_;
  int columns_;  ///< from the strip's first to the map's last
  int64_t channels_, row_step_;
  T* to_;                                                   ///< the row above the row at work
  int above_ = Rows<T>::kInputs - 1, free_x_ = kAhead + 1;  ///< slots of x: of the row above, and of the next to come
  int slot_ = 0, free_ = kAhead;
};

/// The block's partial sum of one row of the gradients.
__device__ void write_sum(float2 sum, float* to, float2 (*shared)[32]) {
  __syncthreads();
  shared[warp_of()][lane_of()] = sum;
  __syncthreads();
  if (warp_of() > 0) return;
  float2 total{};
#pragma unroll
  for (int w = 0; w < kStripWarps; ++w) total += shared[w][lane_of()];
  store_pair(to, total);
}

template <class T>
__global__ void __launch_bounds__(32 * kStripWarps, kBlocksPerProcessor)
    backward_kernel(const DepthwiseGelu conv, const Maps<T> maps, int64_t parts, float* partial) {
  __shared__ Rows<T> rows[kStripWarps];
  allow_next_kernel();
  const int channel = first_channel(conv) + 2 * lane_of();
  const Taps taps = load_taps(conv.weight, channel);
  GradientSums sums{};
  const int64_t strips = strip_count(conv);
  for (int64_t i = static_cast<int64_t>(block_number(conv)) * kStripWarps + warp_of(); i < strips;
       i += parts * kStripWarps) {
    const Strip strip = strip_at(conv, i);
    StripBack<T>(conv, maps, strip, rows[warp_of()]).run(taps, sums);
  }
  auto* shared = reinterpret_cast<float2(*)[32]>(rows);  // the rows are not needed any more
  float* own = partial + static_cast<int64_t>(block_number(conv)) * kDepthwiseSums * conv.channels + channel;
#pragma unroll
  for (int tap = 0; tap < 9; ++tap) write_sum(sums.weight.at[tap / 3][tap % 3], own + tap * conv.channels, shared);
  write_sum(sums.bias, own + 9 * conv.channels, shared);
  write_sum(sums.x_bias, own + 10 * conv.channels, shared);
}

template <class T>
cudaError_t launch(const DepthwiseGelu& conv, const DepthwiseBackward& maps, float* partial, cudaStream_t stream) {
  const auto parts = depthwise_gelu_parts(conv);
  const Maps<T> typed{static_cast<const T*>(conv.x), static_cast<const T*>(maps.grad_y),
                      static_cast<const T*>(maps.slope), static_cast<T*>(maps.grad_x)};
  backward_kernel<T><<<static_cast<unsigned>(parts * channel_groups(conv)), 32 * kStripWarps, 0, stream>>>(
      conv, typed, parts, partial);
  return cudaGetLastError();
}

}  // namespace

int64_t depthwise_gelu_parts(const DepthwiseGelu& conv) {
  const int64_t blocks = (strip_count(conv) + kStripWarps - 1) / kStripWarps;
  return std::clamp<int64_t>(kProcessors * kBlocksPerProcessor / channel_groups(conv), 1, blocks);
}

cudaError_t depthwise_gelu_backward(const DepthwiseGelu& conv, const DepthwiseBackward& maps, float* partial,
                                    float* grad_parameters, cudaStream_t stream) {
  const auto status =
      conv.bfloat16 ? launch<__nv_bfloat16>(conv, maps, partial, stream) : launch<float>(conv, maps, partial, stream);
  if (status != cudaSuccess) return status;
  return sum_partials(partial, depthwise_gelu_parts(conv), kDepthwiseSums * conv.channels, grad_parameters, stream);
}

}  // namespace codmoe::ops::cuda
