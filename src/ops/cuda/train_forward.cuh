// The kernels of training's forward, in their order. A grid's first blocks do a list of products, those after it what
// else the slots need at that time.
#pragma once

#include "attention_gradient.cuh"
#include "train_maps.cuh"
#include "train_product.cuh"
#include "train_stencils.cuh"

namespace codmoe::ops::cuda {

constexpr int kProjectRows = 32;  ///< of attention's projection, of one block

/// Attention's parameters as the forward's functions take them, its norm by this batch's statistics.
template <class T>
__device__ Attention attention_of(const Training& training, const TrainingMemory& memory, int e) {
  const TrainExpert& expert = training.experts[e];
  const float* statistics = statistics_of(training, memory, e, 0);
  Attention attention;
  attention.qkv = weight_of<T>(training, memory, expert.qkv);
  attention.proj = weight_of<T>(training, memory, expert.proj);
  attention.qkv_bias = vector_of(training, memory, expert.qkv_bias);
  attention.proj_bias = vector_of(training, memory, expert.proj_bias);
  attention.norm.gamma = vector_of(training, memory, expert.input_norm.gamma);
  attention.norm.beta = vector_of(training, memory, expert.input_norm.beta);
  attention.norm.mean = statistics;
  attention.norm.var = statistics + training.shape.channels;
  attention.norm.eps = training.eps;
  attention.heads = kHeads;
  attention.root = training.shape.root;
  return attention;
}

template <class T>
__device__ Gate gate_of(const Training& training, const TrainingMemory& memory, const TrainExpert& expert) {
  Gate gate;
  gate.reduce = weight_of<T>(training, memory, expert.gate_reduce);
  gate.expand = weight_of<T>(training, memory, expert.gate_expand);
  gate.reduce_bias = vector_of(training, memory, expert.gate_reduce_bias);
  gate.expand_bias = vector_of(training, memory, expert.gate_expand_bias);
  gate.hidden = expert.hidden;
  return gate;
}

template <class T>
__host__ __device__ inline int attention_chunks(const Shape& shape) {
  return (shape.positions + kAttentionPositions<T> - 1) / kAttentionPositions<T>;
}

/// Of the slot with this index.
template <class T>
__device__ AttentionPartials partials_of_slot(const Training& training, const TrainingMemory& memory, int slot) {
  const int64_t rows = static_cast<int64_t>(slot) * attention_chunks<T>(training.shape) * kHeads;
  return {floats_at(memory.saved, memory.sums) + rows * training.shape.channels,
          floats_at(memory.saved, memory.totals) + rows * 2};
}

__device__ inline float* folded_of(const Training& training, const TrainingMemory& memory, int slot) {
  return slot_row(training, memory.saved, memory.folded, slot * kHeads);
}

template <class T>
__host__ __device__ inline int strip_blocks(const Shape& shape) {
  const int strips = (shape.height + kStrip - 1) / kStrip * shape.width, chunks = shape.channels / kLanes<T>;
  return (strips * chunks + kThreads - 1) / kThreads;
}

/// Convolutions that read x; derived maps and the gate.
template <Math kMath, int kCols>
__global__ void __launch_bounds__(kThreads, 2)
    prepare_kernel(const __grid_constant__ Training training, const __grid_constant__ ProductList list,
                   TrainingMemory memory) {
  using T = typename Product<kMath>::Element;
  extern __shared__ __align__(1024) char shared[];
  wait_for_previous_kernel();
  const int extra = run_products<kMath, kCols>(training, memory, list, shared);
  if (extra < 0) return;
  const int strips = strip_blocks<T>(training.shape), piece = extra % (strips + 1);
  const Slot<T> slot(training, memory, extra / (strips + 1));
  const TrainExpert& expert = training.experts[slot.expert];
  if (piece < strips) {
    if (expert.stencil != Stencil::none) derive_maps<T>(training, memory, slot, piece);
  } else if (expert.hidden > 0) {
    run_gate<T>(gate_of<T>(training, memory, expert), false, training.shape.channels,
                training.choice.mean + static_cast<int64_t>(slot.image) * training.shape.channels,
                slot_row(training, memory.saved, memory.answers, slot.index), reinterpret_cast<float*>(shared));
  }
}

/// Statistics of hybrid's depthwise results. Grid (row tiles, slots).
template <class T>
__global__ void __launch_bounds__(kThreads)
    measure_kernel(const __grid_constant__ Training training, TrainingMemory memory) {
  __shared__ float shared[2 * kThreads * kLanes<T>];
  wait_for_previous_kernel();
  const Slot<T> slot(training, memory, static_cast<int>(blockIdx.y));
  if (is_depthwise(training, slot.expert)) measure<T>(training, memory, slot, static_cast<int>(blockIdx.x), shared);
}

/// Hybrid's norm of its own map; attention's queries. Grid (walks + heads, slots).
template <class T>
__global__ void __launch_bounds__(kThreads)
    early_kernel(const __grid_constant__ Training training, TrainingMemory memory) {
  __shared__ float shared[2 * kMaxChannels + kThreads * kLanes<T>];
  wait_for_previous_kernel();
  const Slot<T> slot(training, memory, static_cast<int>(blockIdx.y));
  const int piece = static_cast<int>(blockIdx.x), head = piece - walks(training.shape);
  if (head < 0) {
    if (is_depthwise(training, slot.expert)) norm_own<T>(training, memory, slot, piece);
  } else if (training.experts[slot.expert].heads > 0) {
    const int channels = training.shape.channels;
    fold_query<T>(attention_of<T>(training, memory, slot.expert), false, channels,
                  training.choice.mean + static_cast<int64_t>(slot.image) * channels, head,
                  folded_of(training, memory, slot.index) + head * channels, shared);
  }
}

/// Convolutions that read derived maps; attention over chunks of positions.
template <Math kMath, int kCols>
__global__ void __launch_bounds__(kThreads, 2)
    branches_kernel(const __grid_constant__ Training training, const __grid_constant__ ProductList list,
                    TrainingMemory memory) {
  using T = typename Product<kMath>::Element;
  extern __shared__ __align__(1024) char shared[];
  wait_for_previous_kernel();
  const int extra = run_products<kMath, kCols>(training, memory, list, shared);
  if (extra < 0) return;
  const int chunks = attention_chunks<T>(training.shape);
  const Slot<T> slot(training, memory, extra / chunks);
  if (training.experts[slot.expert].heads == 0) return;
  attend<T>(training.shape, slot.x, folded_of(training, memory, slot.index), extra % chunks,
            partials_of_slot<T>(training, memory, slot.index), shared);
}

/// What the fusions read; attention's answers. Grid (walks + heads, slots).
template <class T>
__global__ void __launch_bounds__(kThreads, 3)
    activate_kernel(const __grid_constant__ Training training, TrainingMemory memory) {
  __shared__ float shared[kMaxChannels];
  wait_for_previous_kernel();
  const Slot<T> slot(training, memory, static_cast<int>(blockIdx.y));
  const int piece = static_cast<int>(blockIdx.x), head = piece - walks(training.shape);
  const bool attention = training.experts[slot.expert].heads > 0;
  if (head < 0 && !attention) activate<T>(training, memory, slot, piece);
  if (head < 0 || !attention) return;
  gather_values<T>(attention_of<T>(training, memory, slot.expert), false, training.shape.channels,
                   attention_chunks<T>(training.shape), partials_of_slot<T>(training, memory, slot.index), head,
                   slot_row(training, memory.saved, memory.answers, slot.index), shared);
}

/// Fusions; attention's projection.
template <Math kMath, int kCols>
__global__ void __launch_bounds__(kThreads, 2)
    fusion_kernel(const __grid_constant__ Training training, const __grid_constant__ ProductList list,
                  TrainingMemory memory) {
  using T = typename Product<kMath>::Element;
  extern __shared__ __align__(1024) char shared[];
  wait_for_previous_kernel();
  const int extra = run_products<kMath, kCols>(training, memory, list, shared);
  if (extra < 0) return;
  const int channels = training.shape.channels, pieces = channels / kProjectRows;
  const Slot<T> slot(training, memory, extra / pieces);
  const TrainExpert& expert = training.experts[slot.expert];
  if (expert.heads == 0) return;
  auto* answer = reinterpret_cast<float*>(shared);
  for (int c = static_cast<int>(threadIdx.x); c < channels; c += kThreads)
    answer[c] = slot_row(training, memory.saved, memory.answers, slot.index)[c];
  __syncthreads();
  const int first = extra % pieces * kProjectRows;
  const float* bias = vector_of(training, memory, expert.proj_bias);
  float* result = slot_row(training, memory.saved, memory.projected, slot.index);
  warp_rows(weight_of<T>(training, memory, expert.proj) + static_cast<int64_t>(first) * channels, channels,
            kProjectRows, answer, [&](int row, float dot) { result[first + row] = dot + bias[first + row]; });
}

/// Grid (parts of kMixRows positions, B).
template <class T>
__global__ void __launch_bounds__(kThreads, 3)
    mix_kernel(const __grid_constant__ Training training, TrainingMemory memory) {
  extern __shared__ __align__(1024) char shared[];
  wait_for_previous_kernel();
  mix<T>(training, memory, static_cast<int>(blockIdx.y), static_cast<int>(blockIdx.x),
         reinterpret_cast<Mixed<T>*>(shared));
}

}  // namespace codmoe::ops::cuda
