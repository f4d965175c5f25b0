// Writing the gradients of parameters, whole and in their own strides and type, as sums over the slots of an expert.
#pragma once

#include "elements.cuh"
#include "training.h"

namespace codmoe::ops::cuda {

/// `out` and `in` are the kernels'.
__device__ inline void store_gradient(const Parameter& parameter, int out, int in, int tap, float value) {
  const int64_t own_out = given_index(parameter.out_groups, out), own_in = given_index(parameter.in_groups, in);
  if (own_out < 0 || own_in < 0) return;
  const int64_t at =
      own_out * parameter.out_stride + own_in * parameter.in_stride + static_cast<int64_t>(tap) * parameter.tap_stride;
  if (parameter.bfloat16) {
    static_cast<__nv_bfloat16*>(parameter.gradient)[at] = __float2bfloat16(value);
  } else {
    static_cast<float*>(parameter.gradient)[at] = value;
  }
}

/// Leaves the slots that chose `expert` in `list`, in increasing order, and returns their number. Called by all threads
/// of a block; `list` is shared memory for `slots` ints, and may be read at once.
__device__ inline int slots_of_expert(const int64_t* indices, int slots, int expert, int* list) {
  const int lane = static_cast<int>(threadIdx.x) % 32;
  int count = 0;  // each warp counts, the first one writes
  for (int first = 0; first < slots; first += 32) {
    const bool mine = first + lane < slots && static_cast<int>(indices[first + lane]) == expert;
    const unsigned votes = __ballot_sync(0xffffffffU, mine);
    if (mine && threadIdx.x < 32) list[count + __popc(votes & ((1U << lane) - 1U))] = first + lane;
    count += __popc(votes);
  }
  __syncthreads();
  return count;
}

/// The slots of one expert, as slots_of_expert leaves them.
struct SlotList {
  const int* slots;
  int count;
};

/// A vector a slot: `stride` floats from one slot to the next.
struct SlotVectors {
  const float* first = nullptr;  ///< of slot 0
  int64_t stride = 0;
  int sharing = 1;  ///< consecutive slots that share one: top_k where it belongs to the image

  __device__ const float* of(int slot) const { return first + slot / sharing * stride; }
};

/// The gradient of the vector's rows first_out + [first, first + rows) = sum over slots of left[slot][first ...]; zero
/// where `left` is null. Any number of threads.
__device__ inline void run_vector_gradient(const Parameter& parameter, const SlotVectors& left, const SlotList& list,
                                           int first, int rows, int first_out = 0) {
  for (int row = first + static_cast<int>(threadIdx.x); row < first + rows; row += static_cast<int>(blockDim.x)) {
    float total = 0.0F;
    if (left.first != nullptr) {
#pragma unroll 8
      for (int i = 0; i < list.count; ++i) total += left.of(list.slots[i])[row];
    }
    store_gradient(parameter, first_out + row, 0, 0, total);
  }
}

}  // namespace codmoe::ops::cuda
