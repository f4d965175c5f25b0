// Weight gradients of all convolutions: one kernel, tiles of every expert side by side.
#pragma once

#include "find_job.cuh"
#include "parameters.cuh"
#include "train_access.cuh"
#include "train_tasks.h"
#include "weight_tile.cuh"

namespace codmoe::ops::cuda {

struct WeightJob {
  int task = -1, tile = 0, part = 0, parts = 1;
};

/// An expert's slots are shared by parts; at least one, which then writes zeros.
__device__ inline int parts_of(int slots, int slots_a_part) {
  return max(1, (slots + slots_a_part - 1) / slots_a_part);
}

/// Called by all threads of a block; the same answer for all.
__device__ inline WeightJob find_weight_job(const WeightList& list, const int64_t* indices, int slots) {
  __shared__ WeightJob found;
  if (threadIdx.x < 32) {
    const int mine = slots_of_lane(indices, slots);
    WeightJob job;
    int left = static_cast<int>(blockIdx.x);
    for (int t = 0; t < list.count; ++t) {
      const WeightTask& task = list.tasks[t];
      const int parts = parts_of(__shfl_sync(0xffffffffU, mine, task.expert), list.slots_a_part);
      if (left < parts * task.tiles) {
        job = {t, left / parts, left % parts, parts};
        break;
      }
      left -= parts * task.tiles;
    }
    if (threadIdx.x == 0) found = job;
  }
  __syncthreads();
  return found;
}

/// Floats from one filter to the next, in shared memory.
constexpr int kTransposedPitch = kTileRows + 4;

/// Writes a tile's sums to shared memory with filters as rows, for the whole block.
template <class Tile, int kCols>
__device__ void store_transposed(const float (&sums)[Tile::kSums], float* shared) {
#pragma unroll
  for (int pair = 0; pair < Tile::kSums / 2; ++pair) {
    const int col = Tile::col_of(pair);
    if (col >= kCols) continue;
    float* place = shared + col * kTransposedPitch + Tile::row_of(pair);
    place[0] = sums[2 * pair];
    place[kTransposedPitch] = sums[2 * pair + 1];
  }
  __syncthreads();
}

template <Math kMath>
__host__ __device__ constexpr int weight_bytes(int cols) {
  const int sums = cols * kTransposedPitch * static_cast<int>(sizeof(float));
  return sums > weight_tile_bytes(cols, kMath) ? sums : weight_tile_bytes(cols, kMath);
}

template <Math kMath, int kCols>
__device__ void run_weight(const Training& training, const TrainingMemory& memory, const WeightList& list,
                           const WeightJob& job, int* slots_of_task, char* shared) {
  using Tile = WeightTile<kMath, kCols>;
  using T = typename Tile::T;
  const WeightTask& task = list.tasks[job.task];
  const Shape& shape = training.shape;
  const int all = slots_of_expert(training.choice.indices, shape.slots, task.expert, slots_of_task);
  const int share = (all + job.parts - 1) / job.parts, first_slot = job.part * share;
  const int count = min(share, all - first_slot);
  const int col_tiles = (task.out + kCols - 1) / kCols;
  const int first_filter = job.tile % col_tiles * kCols, first_input = job.tile / col_tiles * kTileRows;
  const int filters = min(kCols, task.out - first_filter);
  Tile tile(shape.height, shape.width, shape.channels, task.in, task.kernel, task.dilation, first_input, filters,
            shared);
  tile.add_images(count, [&](int i) {
    const Slot<T> slot(training, memory, slots_of_task[first_slot + i]);
    return WeightOperands<T>{slot.source(task.source) + task.source_channel,
                             slot.map(task.gradient) + task.gradient_channel + first_filter};
  });
  if (job.parts > 1 &&
      !sum_parts<Tile::kSums>(tile.sum, floats_at(memory.work, memory.parts),
                              reinterpret_cast<int*>(memory.work + memory.counters), job.part, job.parts)) {
    return;
  }
  auto* sums = reinterpret_cast<float*>(shared);
  store_transposed<Tile, kCols>(tile.sum, sums);
  const Parameter& parameter = training.parameters[task.parameter];
  const int inputs = min(kTileRows, task.kernel * task.kernel * task.in - first_input);
  const int input = static_cast<int>(threadIdx.x) % kTileRows, groups = kThreads / kTileRows;
  if (input >= inputs) return;
  const int tap = (first_input + input) / task.in, in = first_input + input - tap * task.in;
#pragma unroll 4
  for (int filter = static_cast<int>(threadIdx.x) / kTileRows; filter < filters; filter += groups)
    store_gradient(parameter, first_filter + filter, in, tap, sums[filter * kTransposedPitch + input]);
}

}  // namespace codmoe::ops::cuda
