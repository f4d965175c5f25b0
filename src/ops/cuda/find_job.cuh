// How a block finds what it has to do.
#pragma once

#include "schedule.h"

namespace codmoe::ops::cuda {

struct Job {
  int task = -1;  ///< -1: nothing
  int slot = 0;
  int piece = 0;  ///< of the slot's blocks of this task
};

/// The number of slots that chose the expert of this lane. Called by a whole warp.
__device__ inline int slots_of_lane(const int64_t* indices, int slots) {
  const int lane = static_cast<int>(threadIdx.x) % 32;
  int count = 0;
  for (int first = 0; first < slots; first += 32) {
    const int chosen = first + lane < slots ? static_cast<int>(indices[first + lane]) : -1;
#pragma unroll
    for (int e = 0; e < kMaxExperts; ++e) {
      const unsigned votes = __ballot_sync(0xffffffffU, chosen == e);
      if (lane == e) count += __popc(votes);
    }
  }
  return count;
}

/// The nth slot (from 0) that chose `expert`. Called by a whole warp.
__device__ inline int nth_slot(const int64_t* indices, int slots, int expert, int nth) {
  const int lane = static_cast<int>(threadIdx.x) % 32;
  for (int first = 0; first < slots; first += 32) {
    const bool mine = first + lane < slots && static_cast<int>(indices[first + lane]) == expert;
    const unsigned votes = __ballot_sync(0xffffffffU, mine);
    const int found = __popc(votes);
    if (nth < found) return first + static_cast<int>(__fns(votes, 0, nth + 1));
    nth -= found;
  }
  return 0;
}

/// `list` has tasks with an expert and blocks a slot, `count` of them. Called by all threads of a block; the same
/// answer for all.
template <class List>
__device__ Job find_job(const List& list, const int64_t* indices, int slots) {
  __shared__ Job found;
  if (threadIdx.x < 32) {
    const int mine = slots_of_lane(indices, slots);
    Job job;
    int left = static_cast<int>(blockIdx.x);
    for (int t = 0; t < list.count; ++t) {
      const auto& task = list.tasks[t];
      const int blocks = __shfl_sync(0xffffffffU, mine, task.expert) * task.blocks;
      if (left < blocks) {
        job = {t, nth_slot(indices, slots, task.expert, left / task.blocks), left % task.blocks};
        break;
      }
      left -= blocks;
    }
    if (threadIdx.x == 0) found = job;
  }
  __syncthreads();
  return found;
}

}  // namespace codmoe::ops::cuda
