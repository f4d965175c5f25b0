// One tile of a convolution in training: the sum of its segments, and what follows it.
#pragma once

#include "conv_tile.cuh"
#include "find_job.cuh"
#include "tile_sums.cuh"
#include "train_access.cuh"
#include "train_tasks.h"

namespace codmoe::ops::cuda {

/// Shared memory of a block: a tile's copies, or two tiles of sums.
__host__ __device__ constexpr int product_bytes(int cols) {
  const int sums = 2 * kTileRows * sum_pitch(cols) * static_cast<int>(sizeof(float));
  return sums > tile_bytes(cols) ? sums : tile_bytes(cols);
}

/// Mean of each column over `rows` rows and the sum of squares around it. The squares are taken around the first row,
/// near enough to the mean for float32.
template <int kCols>
__device__ void column_statistics(const float* sums, int rows, int cols, float2* result, float* work) {
  constexpr int groups = kThreads / kCols;
  const int col = static_cast<int>(threadIdx.x) % kCols, group = static_cast<int>(threadIdx.x) / kCols;
  const float origin = sums[col];
  if (group < groups) {
    float first = 0.0F, second = 0.0F;
    for (int row = group; row < rows; row += groups) {
      const float value = sums[row * sum_pitch(kCols) + col] - origin;
      first += value;
      second += value * value;
    }
    work[(group * 2) * kCols + col] = first;
    work[(group * 2 + 1) * kCols + col] = second;
  }
  __syncthreads();
  if (group > 0 || col >= cols) return;
  float first = 0.0F, second = 0.0F;
  for (int g = 0; g < groups; ++g) {
    first += work[(g * 2) * kCols + col];
    second += work[(g * 2 + 1) * kCols + col];
  }
  const float mean = first / static_cast<float>(rows);
  result[col] = {origin + mean, fmaxf(second - first * mean, 0.0F)};
}

/// Sums of two tiles' columns.
template <int kCols>
__device__ void column_totals(const float* a, const float* b, int rows, int cols, float2* result, float* work) {
  constexpr int groups = kThreads / kCols;
  const int col = static_cast<int>(threadIdx.x) % kCols, group = static_cast<int>(threadIdx.x) / kCols;
  if (group < groups) {
    float first = 0.0F, second = 0.0F;
    for (int row = group; row < rows; row += groups) {
      first += a[row * sum_pitch(kCols) + col];
      second += b[row * sum_pitch(kCols) + col];
    }
    work[(group * 2) * kCols + col] = first;
    work[(group * 2 + 1) * kCols + col] = second;
  }
  __syncthreads();
  if (group > 0 || col >= cols) return;
  float2 total{0.0F, 0.0F};
  for (int g = 0; g < groups; ++g) {
    total.x += work[(g * 2) * kCols + col];
    total.y += work[(g * 2 + 1) * kCols + col];
  }
  result[col] = total;
}

/// What a tile's columns need after its sums.
template <int kCols>
struct TrainColumns {
  float mean[kCols], rstd[kCols], gamma[kCols], beta[kCols], bias[kCols], gate[kCols];

  __device__ void load(const Training& training, const TrainingMemory& memory, const ProductTask& task, int slot,
                       int first, int count) {
    const int col = static_cast<int>(threadIdx.x);
    if (col >= count) return;
    const int channel = task.target_channel + first + col;
    bias[col] = task.bias >= 0 ? packed_vector(memory, task.bias)[first + col] : 0.0F;
    gate[col] = task.gated ? slot_row(training, memory.saved, memory.answers, slot)[channel] : 1.0F;
    const ChannelNorm norm =
        task.norm >= 0 ? channel_norm(training, memory, task.expert, task.norm, channel) : ChannelNorm();
    mean[col] = norm.mean;
    rstd[col] = norm.rstd;
    gamma[col] = norm.gamma;
    beta[col] = norm.beta;
  }
  __device__ ChannelNorm norm(int col) const { return {mean[col], rstd[col], gamma[col], beta[col]}; }
};

/// Turns the gradient of what the fusion read (or of the normed map) into that before GELU (and norm), and leaves the
/// factors whose column sums the norm's gradient needs; without a norm, the gate's gradient.
template <class T, int kCols>
__device__ void differentiate(const ProductTask& task, const TrainColumns<kCols>& columns, const T* before,
                              int channels, int rows, int cols, float* sums, float* products) {
  visit_chunks<T, kCols>(sums, rows, cols, [&](int row, int col, float(&values)[kLanes<T>]) {
    float z[kLanes<T>];
    load_chunk(before + static_cast<int64_t>(row) * channels + col, z);
#pragma unroll
    for (int i = 0; i < kLanes<T>; ++i) {
      const ChannelNorm norm = columns.norm(col + i);
      const float upstream = values[i], input = norm.apply(z[i]);
      if (task.gelu) values[i] *= gelu_gradient(input);
      values[i] *= columns.gate[col + i];
      products[row * sum_pitch(kCols) + col + i] =
          task.norm >= 0 ? values[i] * norm.normed(z[i]) : upstream * gelu(input);
    }
  });
  __syncthreads();
}

template <class T>
__device__ TileOperands<T> operands_of(const Shape& shape, const TrainingMemory& memory, const Segment& segment,
                                       const Slot<T>& slot, int first, int cols) {
  TileOperands<T> operands;
  operands.map = slot.source(segment.source) + segment.source_channel;
  operands.map_channels = shape.channels;
  operands.weight = packed_weight<T>(memory, segment.weight) +
                    static_cast<int64_t>(first) * segment.kernel * segment.kernel * segment.in;
  operands.filters = cols;
  operands.in = segment.in;
  operands.kernel = segment.kernel;
  operands.dilation = segment.dilation;
  return operands;
}

template <Math kMath, int kCols>
__device__ void run_product(const Training& training, const TrainingMemory& memory, const ProductTask& task,
                            const Job& job, char* shared) {
  using Tile = ConvTile<kMath, kCols>;
  using T = typename Tile::T;
  __shared__ TrainColumns<kCols> columns;
  __shared__ float work[2 * kThreads];
  const Shape& shape = training.shape;
  const Slot<T> slot(training, memory, job.slot);
  const int part = job.piece % task.parts, piece = job.piece / task.parts;
  const int tiles = row_tiles(shape), tile_index = piece % tiles, first = piece / tiles * kCols;
  const int first_position = tile_index * kTileRows, rows = min(kTileRows, shape.positions - first_position);
  const int cols = min(kCols, task.out - first);
  Tile tile(shape.height, shape.width, first_position, shared);
  tile.clear();
  columns.load(training, memory, task, job.slot, first, cols);
  int begin = part * task.part_stages, end = begin + task.part_stages;  // of this part, counted from the segment
  for (int s = 0; s < task.segment_count && end > 0; ++s) {
    const auto operands = operands_of(shape, memory, task.segments[s], slot, first, cols);
    const int stages = operands.stages();
    if (begin < stages) {
      tile.begin(operands, max(begin, 0), min(end, stages));
      tile.finish();
      if (task.segments[s].negates) tile.negate();
    }
    begin -= stages;
    end -= stages;
  }
  if (task.parts > 1 &&
      !sum_parts<Tile::kSums>(tile.sum, floats_at(memory.work, memory.parts),
                              reinterpret_cast<int*>(memory.work + memory.counters), part, task.parts)) {
    return;
  }
  __syncthreads();  // the columns, where there was no stage

  auto* sums = reinterpret_cast<float*>(shared);
  float* products = sums + kTileRows * sum_pitch(kCols);
  store_sums<Tile, kCols>(tile.sum, sums);
  const int channel = task.target_channel + first;
  const int64_t at = static_cast<int64_t>(first_position) * shape.channels + channel;
  float2* pairs = column_sums(training, memory, job.slot, tile_index, task.area) + channel;
  if (task.finish == Finish::gradient) {
    differentiate<T, kCols>(task, columns, slot.map(task.before) + at, shape.channels, rows, cols, sums, products);
  }
  T* target = slot.map(task.target) + at;
  visit_chunks<T, kCols>(sums, rows, cols, [&](int row, int col, float(&values)[kLanes<T>]) {
#pragma unroll
    for (int i = 0; i < kLanes<T>; ++i) values[i] += columns.bias[col + i];
    store_chunk(target + static_cast<int64_t>(row) * shape.channels + col, values);
  });
  __syncthreads();
  if (task.finish == Finish::statistics) column_statistics<kCols>(sums, rows, cols, pairs, work);
  if (task.finish == Finish::sums) column_totals<kCols>(sums, sums, rows, cols, pairs, work);
  if (task.finish == Finish::gradient) column_totals<kCols>(sums, products, rows, cols, pairs, work);
}

}  // namespace codmoe::ops::cuda
