// What the forward and the backward of depthwise_gelu() share.
#pragma once

#include "depthwise_gelu.h"
#include "depthwise_units.cuh"

namespace codmoe::ops::cuda {

constexpr int kGeluInputs = kUnitColumns + 2;  ///< columns of a strip's inputs
constexpr int kGeluMostRows = 44;

inline Strips strips_of(const DepthwiseGelu& conv) {
  return {{conv.height, conv.width, conv.channels}, conv.batch, kGeluMostRows};
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

/// Adds the shift of x where its columns and rows lie in the map: around it stand zeros after the shift.
class Shift {
 public:
  __device__ Shift(const float* x_bias, const Extent& extent, const Place& place)
      : height_(extent.height), shift_(load_pair(x_bias + place.channel)) {
#pragma unroll
    for (int i = 0; i < kGeluInputs; ++i) {
      const int column = place.column - 1 + i;
      inside_[i] = column >= 0 && column < extent.width ? 1.0F : 0.0F;
    }
  }

  template <class T>
  __device__ void load(const UnitRow<T, kGeluInputs>& from, int row, float2 (&inputs)[kGeluInputs]) const {
    const float2 shift = row >= 0 && row < height_ ? shift_ : float2{0.0F, 0.0F};
#pragma unroll
    for (int i = 0; i < kGeluInputs; ++i) {
      inputs[i] = from.pair(i);
      add_product(inputs[i], {inside_[i], inside_[i]}, shift);
    }
  }

 private:
  int height_;
  float2 shift_;
  float inside_[kGeluInputs];
};

/// Results, or gradients, of three rows while the middle one is at work.
struct ThreeRows {
  float2 above[kUnitColumns], level[kUnitColumns], below[kUnitColumns];

  __device__ explicit ThreeRows(float2 begin) {
#pragma unroll
    for (int i = 0; i < kUnitColumns; ++i) above[i] = level[i] = below[i] = begin;
  }
  __device__ void move_up(float2 begin) {
#pragma unroll
    for (int i = 0; i < kUnitColumns; ++i) {
      above[i] = level[i];
      level[i] = below[i];
      below[i] = begin;
    }
  }
};

}  // namespace codmoe::ops::cuda
