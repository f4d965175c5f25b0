// One tile of a convolution in training: the sum of its segments, and what follows it.
#pragma once

#include "conv_tile.cuh"
#include "find_job.cuh"
#include "tile_sums.cuh"
#include "train_access.cuh"
#include "train_tasks.h"

namespace codmoe::ops::cuda {

/// What a tile's columns need after its sums.
template <int kCols>
struct TrainColumns {
  alignas(16) ChannelNorm norm[kCols];
  float bias[kCols], gate[kCols];

  __device__ void load(const Training& training, const TrainingMemory& memory, const ProductTask& task, int slot,
                       int first, int count) {
    const int col = static_cast<int>(threadIdx.x);
    if (col >= count) return;
    const int channel = task.target_channel + first + col;
    bias[col] = task.bias >= 0 ? packed_vector(memory, task.bias)[first + col] : 0.0F;
    gate[col] = task.gated ? slot_row(training, memory.saved, memory.answers, slot)[channel] : 1.0F;
    norm[col] = task.norm >= 0 ? channel_norm(training, memory, task.expert, task.norm, channel) : ChannelNorm();
  }
};

/// Two sums over the rows of each of a thread's columns.
template <class T>
struct ColumnPairs {
  float first[kLanes<T>] = {}, second[kLanes<T>] = {};

  /// Leaves the sums over all threads in `pairs` [cols]. `work` holds 2 * kThreads * kLanes floats.
  template <int kCols>
  __device__ void reduce(const TileColumn<T, kCols>& column, int cols, float2* pairs, float* work) const {
    float* other = work + column.step * cols;
    if (column.active) {
#pragma unroll
      for (int i = 0; i < kLanes<T>; ++i) {
        work[column.row * cols + column.col + i] = first[i];
        other[column.row * cols + column.col + i] = second[i];
      }
    }
    __syncthreads();
    const int col = static_cast<int>(threadIdx.x);
    if (col >= cols) return;
    float2 total{0.0F, 0.0F};
    for (int row = 0; row < column.step; ++row) {
      total.x += work[row * cols + col];
      total.y += other[row * cols + col];
    }
    pairs[col] = total;
  }
};

/// A tile after its products, in shared memory, and where its results go.
template <class T, int kCols>
struct FinishedTile {
  const ProductTask& task;
  const TrainColumns<kCols>& columns;
  float *sums, *work;  ///< the tile, and 2 * kThreads * kLanes floats
  T* target;           ///< the tile's first value
  float2* pairs;       ///< of the tile's columns
  int channels, rows, cols;

  /// Adds the bias and stores; sums of the columns, or of their distance from the first row and its square.
  __device__ void store() const {
    const TileColumn<T, kCols> column(cols);
    const bool statistics = task.finish == Finish::statistics;
    ColumnPairs<T> pair;
    float bias[kLanes<T>], origin[kLanes<T>];
#pragma unroll
    for (int i = 0; i < kLanes<T>; ++i) {
      bias[i] = columns.bias[column.col + i];
      origin[i] = statistics ? sums[column.col + i] : 0.0F;
    }
    column.visit(sums, rows, [&](int row, const float(&values)[kLanes<T>]) {
      float results[kLanes<T>];
#pragma unroll
      for (int i = 0; i < kLanes<T>; ++i) {
        const float value = values[i] - origin[i];
        results[i] = values[i] + bias[i];
        pair.first[i] += value;
        pair.second[i] += value * value;
      }
      store_chunk(target + row * channels + column.col, results);
    });
    if (task.finish == Finish::store) return;
    pair.reduce(column, cols, pairs, work);
    if (statistics) center(origin_of_column());
  }

  /// Times the derivative of GELU and of the gate; sums for the norm's gradient, or for the gate's without a norm.
  __device__ void differentiate(const T* before) const {
    const TileColumn<T, kCols> column(cols);
    ColumnPairs<T> pair;
    ChannelNorm norm[kLanes<T>];
    float gate[kLanes<T>];
#pragma unroll
    for (int i = 0; i < kLanes<T>; ++i) {
      norm[i] = columns.norm[column.col + i];
      gate[i] = columns.gate[column.col + i];
    }
    column.visit(sums, rows, [&](int row, const float(&values)[kLanes<T>]) {
      float z[kLanes<T>], results[kLanes<T>];
      load_chunk(before + row * channels + column.col, z);
#pragma unroll
      for (int i = 0; i < kLanes<T>; ++i) {
        const float input = norm[i].apply(z[i]);
        results[i] = values[i] * gate[i] * (task.gelu ? gelu_gradient(input) : 1.0F);
        pair.first[i] += results[i];
        pair.second[i] += task.norm >= 0 ? results[i] * norm[i].normed(z[i]) : values[i] * gelu(input);
      }
      store_chunk(target + row * channels + column.col, results);
    });
    pair.reduce(column, cols, pairs, work);
  }

 private:
  __device__ float origin_of_column() const {
    const int col = static_cast<int>(threadIdx.x);
    return col < cols ? sums[col] : 0.0F;
  }

  /// Sums around `origin` become the mean and the squares around it; by the thread that summed the column.
  __device__ void center(float origin) const {
    const int col = static_cast<int>(threadIdx.x);
    if (col >= cols) return;
    const float2 pair = pairs[col];
    const float mean = pair.x / static_cast<float>(rows);
    pairs[col] = {origin + mean, fmaxf(pair.y - pair.x * mean, 0.0F)};
  }
};

/// Shared memory of a block: a tile's copies, or its sums and room to reduce them.
template <Math kMath>
__host__ __device__ constexpr int product_bytes(int cols) {
  const int sums = kTileRows * sum_pitch(cols) + 2 * kThreads * kLanes<typename Product<kMath>::Element>;
  const int bytes = sums * static_cast<int>(sizeof(float));
  return bytes > tile_bytes(cols) ? bytes : tile_bytes(cols);
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
  store_sums<Tile, kCols>(tile.sum, sums);
  const int channel = task.target_channel + first;
  const int64_t at = static_cast<int64_t>(first_position) * shape.channels + channel;
  const FinishedTile<T, kCols> finished{task,
                                        columns,
                                        sums,
                                        sums + kTileRows * sum_pitch(kCols),
                                        slot.map(task.target) + at,
                                        column_sums(training, memory, job.slot, tile_index, task.area) + channel,
                                        shape.channels,
                                        rows,
                                        cols};
  if (task.finish == Finish::gradient) {
    finished.differentiate(slot.map(task.before) + at);
  } else {
    finished.store();
  }
}

/// Runs this block's product, if it has one. Returns how many blocks it comes after those of all products, negative for
/// one of those.
template <Math kMath, int kCols>
__device__ int run_products(const Training& training, const TrainingMemory& memory, const ProductList& list,
                            char* shared) {
  const int extra = static_cast<int>(blockIdx.x) - list.blocks;
  if (extra < 0) {
    const Job job = find_job(list, training.choice.indices, training.shape.slots);
    if (job.task >= 0) run_product<kMath, kCols>(training, memory, list.tasks[job.task], job, shared);
  }
  return extra;
}

}  // namespace codmoe::ops::cuda
