// The three kernels that run the chosen experts, for one kind of products and one tile width.
#pragma once

#include <algorithm>

#include "attention.cuh"
#include "columns.cuh"
#include "conv_tile.cuh"
#include "find_job.cuh"
#include "moe_launch.h"
#include "stencils.cuh"
#include "tile_sums.cuh"

namespace codmoe::ops::cuda {

template <class T>
__device__ inline T* slot_maps(const Layer& layer, const Scratch& scratch, int slot) {
  return reinterpret_cast<T*>(scratch.base + scratch.maps) +
         static_cast<int64_t>(slot) * kSlotMaps * layer.shape.positions * layer.shape.channels;
}

__device__ inline float* slot_vector(const Layer& layer, const Scratch& scratch, size_t offset, int slot) {
  return reinterpret_cast<float*>(scratch.base + offset) + static_cast<int64_t>(slot) * layer.shape.channels;
}

template <class T>
__device__ inline const T* image_of_slot(const Layer& layer, int slot) {
  return static_cast<const T*>(layer.x) +
         static_cast<int64_t>(slot / layer.shape.top_k) * layer.shape.positions * layer.shape.channels;
}

template <class T>
__device__ TileOperands<T> operands_of(const Shape& shape, const Conv& conv, const T* map, int first_filter, int cols) {
  TileOperands<T> operands;
  operands.map = map + conv.source_channel;
  operands.map_channels = shape.channels;
  operands.weight =
      static_cast<const T*>(conv.weight) + static_cast<int64_t>(first_filter) * conv.kernel * conv.kernel * conv.in;
  operands.filters = min(cols, conv.out - first_filter);
  operands.in = conv.in;
  operands.kernel = conv.kernel;
  operands.dilation = conv.dilation;
  return operands;
}

template <class T>
__device__ inline int chunks_of(const Shape& shape) {
  return (shape.positions + kAttentionPositions<T> - 1) / kAttentionPositions<T>;
}

template <class T>
__device__ AttentionPartials partials_of(const Layer& layer, const Scratch& scratch, int slot) {
  const int64_t rows = static_cast<int64_t>(slot) * chunks_of<T>(layer.shape) * kHeads;
  return {reinterpret_cast<float*>(scratch.base + scratch.sums) + rows * layer.shape.channels,
          reinterpret_cast<float*>(scratch.base + scratch.totals) + rows * 2};
}

template <Math kMath, int kCols>
__device__ void run_conv(const Layer& layer, const Scratch& scratch, const Task& task, const Job& job, char* shared) {
  using Tile = ConvTile<kMath, kCols>;
  using T = typename Tile::T;
  const Conv& conv = layer.experts[task.expert].convs[task.conv];
  const int64_t map_size = static_cast<int64_t>(layer.shape.positions) * layer.shape.channels;
  T* maps = slot_maps<T>(layer, scratch, job.slot);
  const T* source = conv.source < 0 ? image_of_slot<T>(layer, job.slot) : maps + conv.source * map_size;
  const int part = job.piece % task.parts, first_position = job.piece / task.parts * kTileRows;
  const auto operands = operands_of(layer.shape, conv, source, task.first_filter, kCols);
  __shared__ Columns<kCols> columns;
  Tile tile(layer.shape.height, layer.shape.width, first_position, shared);
  tile.clear();
  tile.begin(operands, part * task.part_stages, min((part + 1) * task.part_stages, operands.stages()));
  const float* gate = conv.epilogue.gated ? slot_vector(layer, scratch, scratch.vectors, job.slot) : nullptr;
  columns.load(conv.epilogue, task.first_filter, operands.filters, gate, layer.bfloat16_vectors);
  tile.finish();
  if (task.parts > 1 &&
      !sum_parts<Tile::kSums>(tile.sum, reinterpret_cast<float*>(scratch.base + scratch.partials),
                              reinterpret_cast<int*>(scratch.base + scratch.counters), part, task.parts)) {
    return;
  }

  auto* sums = reinterpret_cast<float*>(shared);
  store_sums<Tile, kCols>(tile.sum, sums);
  T* target = maps + conv.target * map_size + conv.target_channel + task.first_filter;
  const int rows = min(kTileRows, layer.shape.positions - first_position);
  const TileColumn<T, kCols> column(operands.filters);
  const ChunkColumns<T> chunk(columns, column.col);
  target += static_cast<int64_t>(first_position) * layer.shape.channels + column.col;
  column.visit(sums, rows, [&](int row, float(&values)[kLanes<T>]) {
    chunk.apply(values);
    store_chunk(target + row * layer.shape.channels, values);
  });
}

/// Runs one piece of a schedule's work: convolutions, and the maps and vectors that they or the mixing need.
template <Math kMath, int kCols>
__global__ void __launch_bounds__(kThreads, 2)
    experts_kernel(const __grid_constant__ Layer layer, const __grid_constant__ Schedule schedule,
                   const Scratch scratch, bool after_router) {
  using T = typename Product<kMath>::Element;
  extern __shared__ __align__(1024) char shared[];
  if (after_router) wait_for_previous_kernel();  // else its choices are there already
  const Job job = find_job(schedule, layer.choice.indices, layer.shape.slots);
  if (!after_router) wait_for_previous_kernel();
  if (job.task < 0) return;
  const Task& task = schedule.tasks[job.task];
  const Expert& expert = layer.experts[task.expert];
  const int channels = layer.shape.channels;
  float* vector = slot_vector(layer, scratch, scratch.vectors, job.slot);
  auto* floats = reinterpret_cast<float*>(shared);
  switch (task.kind) {
    case TaskKind::convolution:
      run_conv<kMath, kCols>(layer, scratch, task, job, shared);
      break;
    case TaskKind::stencil:
      run_stencil<T>(expert, layer.bfloat16_vectors, layer.shape, image_of_slot<T>(layer, job.slot),
                     slot_maps<T>(layer, scratch, job.slot), job.piece, floats);
      break;
    case TaskKind::attention:
      attend<T>(layer.shape, image_of_slot<T>(layer, job.slot),
                slot_vector(layer, scratch, scratch.folded, job.slot * kHeads), job.piece,
                partials_of<T>(layer, scratch, job.slot), shared);
      break;
    case TaskKind::values:
      gather_values<T>(expert.attention, layer.bfloat16_vectors, channels, chunks_of<T>(layer.shape),
                       partials_of<T>(layer, scratch, job.slot), job.piece, vector, floats);
      break;
    case TaskKind::gate:
      run_gate<T>(expert.gate, layer.bfloat16_vectors, channels,
                  layer.choice.mean + static_cast<int64_t>(job.slot / layer.shape.top_k) * channels, vector, floats);
      break;
  }
}

/// The columns of attention's projection, the same at every position: their sums, in place of a tile's.
template <class T, int kCols>
__device__ void project(const Attention& attention, bool bfloat16_vectors, int channels, const float* answer,
                        int first_filter, int filters, float* shared, float (&result)[kCols]) {
  for (int c = static_cast<int>(threadIdx.x); c < channels; c += kThreads) shared[c] = answer[c];
  __syncthreads();
  const int col = static_cast<int>(threadIdx.x), row = first_filter + col;
  if (col >= filters) return;
  const T* weights = static_cast<const T*>(attention.proj) + static_cast<int64_t>(row) * channels;
  result[col] = thread_row(weights, channels, shared) + vector_at(attention.proj_bias, row, bfloat16_vectors);
}

/// y = sum over k of weight * (f_k + x). Grid (row tiles * column tiles, B).
template <Math kMath, int kCols>
__global__ void __launch_bounds__(kThreads, 2)
    combine_kernel(const __grid_constant__ Layer layer, const Scratch scratch) {
  using Tile = ConvTile<kMath, kCols>;
  using T = typename Tile::T;
  static_assert(kCols <= kThreads, "project gives each column a thread");
  extern __shared__ __align__(1024) char shared[];
  __shared__ Columns<kCols> columns;
  __shared__ float constants[kCols];
  const Shape& shape = layer.shape;
  const int col_tiles = (shape.channels + kCols - 1) / kCols;
  const int first_filter = static_cast<int>(blockIdx.x) % col_tiles * kCols;
  const int first_position = static_cast<int>(blockIdx.x) / col_tiles * kTileRows;
  const int filters = min(kCols, shape.channels - first_filter);
  const int image = static_cast<int>(blockIdx.y), rows = min(kTileRows, shape.positions - first_position);
  auto* sums = reinterpret_cast<float*>(shared);
  float mixed[Tile::kSums] = {};
  float weight_sum = 0.0F;
  Tile tile(shape.height, shape.width, first_position, shared);
  wait_for_previous_kernel();

  for (int k = 0; k < shape.top_k; ++k) {
    const int slot = image * shape.top_k + k;
    const Expert& expert = layer.experts[layer.choice.indices[slot]];
    const float weight = layer.choice.weights[slot];
    weight_sum += weight;
    const bool attention = expert.attention.heads > 0;
    if (attention) {
      project<T, kCols>(expert.attention, layer.bfloat16_vectors, shape.channels,
                        slot_vector(layer, scratch, scratch.vectors, slot), first_filter, filters, sums, constants);
      __syncthreads();
    } else {
      const auto operands = operands_of(shape, expert.fusion, slot_maps<T>(layer, scratch, slot), first_filter, kCols);
      tile.clear();
      tile.begin(operands, 0, operands.stages());
      columns.load(expert.fusion.epilogue, first_filter, filters, nullptr, layer.bfloat16_vectors);
      tile.finish();
      store_sums<Tile, kCols>(tile.sum, sums);
      const TileColumn<T, kCols> column(filters);
      const ChunkColumns<T> chunk(columns, column.col);
      column.visit(sums, kTileRows, [&](int, float(&values)[kLanes<T>]) { chunk.apply(values); });
      __syncthreads();
    }
    visit_pairs<Tile, kCols>(sums, [&](int pair, const float2& place) {
      const int col = Tile::col_of(pair);
      mixed[2 * pair] += weight * (attention ? constants[col] : place.x);
      mixed[2 * pair + 1] += weight * (attention ? constants[col + 1] : place.y);
    });
    __syncthreads();  // before the next expert's copies and columns
  }

  store_sums<Tile, kCols>(mixed, sums);
  const TileColumn<T, kCols> column(filters);
  const int64_t offset =
      (static_cast<int64_t>(image) * shape.positions + first_position) * shape.channels + first_filter + column.col;
  const T* x = static_cast<const T*>(layer.x) + offset;
  T* y = static_cast<T*>(layer.y) + offset;
  column.visit(sums, rows, [&](int row, float(&values)[kLanes<T>]) {
    float residual[kLanes<T>];
    load_chunk(x + row * shape.channels, residual);
#pragma unroll
    for (int i = 0; i < kLanes<T>; ++i) values[i] += weight_sum * residual[i];
    store_chunk(y + row * shape.channels, values);
  });
}

template <Math kMath, int kCols>
cudaError_t launch_cols(const Layer& layer, const Plan& plan, cudaStream_t stream) {
  using T = typename Product<kMath>::Element;
  static_assert(tile_bytes(kCols) <= kSharedBytes && attend_bytes<T>(kMaxChannels) <= kSharedBytes);
  const int bytes = std::max(tile_bytes(kCols), attend_bytes<T>(layer.shape.channels));
  const auto experts = experts_kernel<kMath, kCols>;
  const auto combine = combine_kernel<kMath, kCols>;
  if (const auto error = cudaFuncSetAttribute(experts, cudaFuncAttributeMaxDynamicSharedMemorySize, bytes))
    return error;
  if (const auto error = cudaFuncSetAttribute(combine, cudaFuncAttributeMaxDynamicSharedMemorySize, bytes))
    return error;
  const auto row_tiles = (layer.shape.positions + kTileRows - 1) / kTileRows;
  const auto col_tiles = (layer.shape.channels + kCols - 1) / kCols;
  bool after_router = true;
  for (const auto* schedule : {&plan.prepare, &plan.branches}) {
    if (schedule->blocks == 0) continue;
    if (const auto error = launch_after(experts, dim3(static_cast<unsigned>(schedule->blocks)), kThreads, bytes, stream,
                                        layer, *schedule, plan.scratch, after_router)) {
      return error;
    }
    after_router = false;
  }
  const dim3 grid(static_cast<unsigned>(row_tiles * col_tiles), static_cast<unsigned>(layer.shape.batch));
  return launch_after(combine, grid, kThreads, bytes, stream, layer, plan.scratch);
}

template <Math kMath>
cudaError_t launch_math(const Layer& layer, const Plan& plan, cudaStream_t stream) {
  switch (plan.cols) {
    case 40:
      return launch_cols<kMath, 40>(layer, plan, stream);
    case 64:
      return launch_cols<kMath, 64>(layer, plan, stream);
    case 72:
      return launch_cols<kMath, 72>(layer, plan, stream);
    case 80:
      return launch_cols<kMath, 80>(layer, plan, stream);
    default:
      return cudaErrorInvalidValue;
  }
}

}  // namespace codmoe::ops::cuda
