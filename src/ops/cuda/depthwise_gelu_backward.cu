#include "column_sums.h"
#include "depthwise_gelu.h"
#include "depthwise_gelu_rows.cuh"
#include "previous_kernel.cuh"

namespace codmoe::ops::cuda {

namespace {

constexpr int kAhead = 2;  ///< rows on their way
template <class T>
constexpr int kBlocksPerProcessor = 12 / kUnitWarps<T>;

/// Maps of the backward.
template <class T>
struct Maps {
  const T *x, *grad_y, *slope;
  T* grad_x;
};

/// What a lane sums up for its channels over all its strips.
struct GradientSums {
  Taps weight;
  float2 bias, x_bias;
};

/// Of a warp: of x the rows around the row at work, of the others that one.
template <class T>
struct Rings {
  using Inputs = RowRing<T, kGeluInputs, 3 + kAhead>;
  using Grads = RowRing<T, kGeluInputs, 1 + kAhead>;
  typename Inputs::Slots x;
  typename Grads::Slots grad_y, slope;
};

/// One strip's way through the maps.
template <class T>
class StripBack {
 public:
  __device__ StripBack(const DepthwiseGelu& conv, const Maps<T>& maps, const Extent& extent, const Place& place,
                       Rings<T>& rings)
      : place_(place),
        shift_(conv.x_bias, extent, place),
        x_(maps.x, extent, place, place.row - 2, place.column - 1, last_row(extent, place), rings.x),
        grad_y_(maps.grad_y, extent, place, place.row - 1, place.column - 1, last_row(extent, place), rings.grad_y),
        slope_(maps.slope, extent, place, place.row - 1, place.column - 1, last_row(extent, place), rings.slope),
        columns_(extent.width - place.column),
        channels_(extent.channels),
        row_step_(extent.width * extent.channels),
        to_(maps.grad_x + place.offset(extent, place.row - 2, place.column)) {}

  /// `rows`: those of the longest strip, through which all lanes go. Results a row outside the strip have gradients for
  /// its inputs too.
  __device__ void run(int rows, const Taps& taps, GradientSums& sums) {
    __syncwarp();  // all lanes have read the last strip's rows
#pragma unroll
    for (int i = 0; i < kAhead; ++i) ask(i == 0 ? 3 : 1);
    const float2 zero{0.0F, 0.0F};
    ThreeRows results(zero);  // gradients of x's rows above, at and below the row at work
#pragma unroll 1
    for (int row = -1; row <= rows; ++row) {
      wait_for_copies<kAhead - 1>();
      __syncwarp();  // the other lanes' copies are there, and the slots to be filled have been read by all
      ask(1);
      float2 grads[kGeluInputs];
      load_gradients(grads);
      hand_back(taps, grads, results);
      if (row >= 0 && row < place_.rows) add_weights(row, grads, sums);
      if (row > 0 && row <= place_.rows) store(results.above, sums);
      results.move_up(zero);
      advance();
    }
    wait_for_copies<0>();
  }

 private:
  __device__ static int last_row(const Extent& extent, const Place& place) {
    return min(extent.height, place.row + place.rows + 1);
  }

  __device__ void ask(int rows_of_x) {
    x_.ask(rows_of_x);
    grad_y_.ask();
    slope_.ask();
    commit_copies();
  }

  /// Those of the convolution's results, of y's and GELU's slopes.
  __device__ void load_gradients(float2 (&grads)[kGeluInputs]) const {
#pragma unroll
    for (int i = 0; i < kGeluInputs; ++i) grads[i] = grad_y_[0].pair(i) * slope_[0].pair(i);
  }

  /// Results of a row read inputs of the rows around it by the taps 0 to 2, and hand their gradients back so.
  __device__ static void hand_back(const Taps& taps, const float2 (&grads)[kGeluInputs], ThreeRows& results) {
#pragma unroll
    for (int i = 0; i < kUnitColumns; ++i) {
#pragma unroll
      for (int tap = 0; tap < 3; ++tap) {
        add_product(results.above[i], taps.at[0][tap], grads[i + 2 - tap]);
        add_product(results.level[i], taps.at[1][tap], grads[i + 2 - tap]);
        add_product(results.below[i], taps.at[2][tap], grads[i + 2 - tap]);
      }
    }
  }

  __device__ void add_weights(int row, const float2 (&grads)[kGeluInputs], GradientSums& sums) const {
#pragma unroll
    for (int i = 0; i < kUnitColumns; ++i) sums.bias += grads[i + 1];
#pragma unroll
    for (int r = 0; r < 3; ++r) {
      float2 inputs[kGeluInputs];
      shift_.load(x_[r], place_.row + row - 1 + r, inputs);
#pragma unroll
      for (int i = 0; i < kUnitColumns; ++i) {
#pragma unroll
        for (int tap = 0; tap < 3; ++tap) add_product(sums.weight.at[r][tap], grads[i + 1], inputs[i + tap]);
      }
    }
  }

  __device__ void store(const float2 (&grad_x)[kUnitColumns], GradientSums& sums) const {
#pragma unroll
    for (int i = 0; i < kUnitColumns; ++i) {
      if (i >= columns_) continue;
      store_pair(to_ + i * channels_, grad_x[i]);
      sums.x_bias += grad_x[i];
    }
  }

  __device__ void advance() {
    x_.drop(1);
    grad_y_.drop(1);
    slope_.drop(1);
    to_ += row_step_;
  }

  const Place& place_;
  Shift shift_;
  typename Rings<T>::Inputs x_;
  typename Rings<T>::Grads grad_y_, slope_;
  int columns_;  ///< from the strip's first to the map's last
  int channels_, row_step_;
  T* to_;  ///< the row above the row at work
};

template <class T>
__global__ void __launch_bounds__(32 * kUnitWarps<T>, kBlocksPerProcessor<T>)
    backward_kernel(const DepthwiseGelu conv, const Maps<T> maps, const Strips strips, const Sharing<T> sharing,
                    float* partial) {
  __shared__ Rings<T> rings[kUnitWarps<T>];
  allow_next_kernel();
  const Group<T> group(sharing);
  const int channel = group.unit * kUnitChannels + 2 * (lane_of() % kUnitLanes);
  const Taps taps = load_taps(conv.weight, channel);
  GradientSums sums{};
  // Lanes of a warp may have one strip more than others: all go through the same rounds.
  for (int64_t strip = 0; strip < strips.count; strip += sharing.step) {
    const Place place(strips, group.unit, strip + group.first_strip);
    StripBack<T>(conv, maps, strips.extent, place, rings[warp_of()]).run(strips.rows, taps, sums);
  }
  auto* shared = reinterpret_cast<float2(*)[kUnitLanes]>(rings);  // the rows are not needed any more
  const auto write = [&](float2 own, int row) {
    const float2 sum = group.sum(sharing, own, shared);
    if (group.writes) store_pair(partial + (group.part * kDepthwiseSums + row) * conv.channels + channel, sum);
  };
#pragma unroll
  for (int tap = 0; tap < 9; ++tap) write(sums.weight.at[tap / 3][tap % 3], tap);
  write(sums.bias, 9);
  write(sums.x_bias, 10);
}

template <class T>
Sharing<T> sharing_of(const DepthwiseGelu& conv) {
  return {strips_of(conv), kProcessors * kBlocksPerProcessor<T>};
}

template <class T>
cudaError_t launch(const DepthwiseGelu& conv, const DepthwiseBackward& maps, float* partial, cudaStream_t stream) {
  const Maps<T> typed{static_cast<const T*>(conv.x), static_cast<const T*>(maps.grad_y),
                      static_cast<const T*>(maps.slope), static_cast<T*>(maps.grad_x)};
  const auto sharing = sharing_of<T>(conv);
  backward_kernel<T><<<static_cast<unsigned>(sharing.blocks), 32 * kUnitWarps<T>, 0, stream>>>(
      conv, typed, strips_of(conv), sharing, partial);
  return cudaGetLastError();
}

}  // namespace

int64_t depthwise_gelu_parts(const DepthwiseGelu& conv) {
  return conv.bfloat16 ? sharing_of<__nv_bfloat16>(conv).parts() : sharing_of<float>(conv).parts();
}

cudaError_t depthwise_gelu_backward(const DepthwiseGelu& conv, const DepthwiseBackward& maps, float* partial,
                                    float* grad_parameters, cudaStream_t stream) {
  const auto status =
      conv.bfloat16 ? launch<__nv_bfloat16>(conv, maps, partial, stream) : launch<float>(conv, maps, partial, stream);
  if (status != cudaSuccess) return status;
  return sum_partials(partial, depthwise_gelu_parts(conv), kDepthwiseSums * conv.channels, grad_parameters, stream);
}

}  // namespace codmoe::ops::cuda
