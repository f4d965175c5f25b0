// The kernels of training's backward, in their order; see train_forward.cuh.
#pragma once

#include "gate_gradient.cuh"
#include "router_gradient.cuh"
#include "train_depthwise.cuh"
#include "train_forward.cuh"
#include "train_weights.cuh"

namespace codmoe::ops::cuda {

__device__ inline BatchNorm batch_norm_of(const Training& training, const TrainingMemory& memory, int e) {
  const float* statistics = statistics_of(training, memory, e, 0);
  const TrainConv& norm = training.experts[e].input_norm;
  return {statistics, statistics + 2 * training.shape.channels, vector_of(training, memory, norm.gamma),
          vector_of(training, memory, norm.beta)};
}

template <class T>
__device__ AttentionWeights<T> attention_weights(const Training& training, const TrainingMemory& memory, int e) {
  const TrainExpert& expert = training.experts[e];
  return {weight_of<T>(training, memory, expert.qkv),
          reversed_of<T>(training, memory, expert.proj),
          vector_of(training, memory, expert.qkv_bias),
          batch_norm_of(training, memory, e),
          training.shape.channels,
          training.shape.positions,
          training.shape.root};
}

template <class T>
__device__ AttentionResults attention_results(const Training& training, const TrainingMemory& memory, int slot) {
  const AttentionPartials partials = partials_of_slot<T>(training, memory, slot);
  return {training.choice.mean + static_cast<int64_t>(slot / training.shape.top_k) * training.shape.channels,
          folded_of(training, memory, slot), partials.sums, partials.totals};
}

__device__ inline AttentionVectors vectors_of_slot(const Training& training, const TrainingMemory& memory, int slot) {
  return attention_vectors(slot_vectors(memory, slot), training.shape.channels, training.shape.positions);
}

__device__ inline GateVectors gate_vectors(const Training& training, const TrainingMemory& memory, int slot) {
  const int channels = training.shape.channels, hidden = channels / 4;
  float* first = slot_vectors(memory, slot);
  GateVectors v;
  v.mean = training.choice.mean + static_cast<int64_t>(slot / training.shape.top_k) * channels;
  v.gate = slot_row(training, memory.saved, memory.answers, slot);
  v.gate_gradient = first;
  v.expand_gradient = first + channels;
  v.mean_gradient = first + 2 * channels;
  v.hidden = first + 3 * channels;
  v.reduce_gradient = v.hidden + hidden;
  return v;
}

/// Sums of the gradient of y; attention's queries once more. Grid (walks + heads, slots).
template <class T>
__global__ void __launch_bounds__(kThreads, 3)
    receive_kernel(const __grid_constant__ Training training, TrainingMemory memory) {
  __shared__ float shared[2 * kThreads * kLanes<T> + 2 * kMaxChannels];
  const int block = static_cast<int>(blockIdx.y * gridDim.x + blockIdx.x);
  wait_for_previous_kernel();
  for (int i = block * kThreads + static_cast<int>(threadIdx.x); i < memory.backward_splits;
       i += static_cast<int>(gridDim.x * gridDim.y) * kThreads)
    reinterpret_cast<int*>(memory.work + memory.counters)[i] = 0;
  const Slot<T> slot(training, memory, static_cast<int>(blockIdx.y));
  const int piece = static_cast<int>(blockIdx.x), head = piece - walks(training.shape);
  if (head < 0) {
    receive<T>(training, memory, slot, piece, shared);
  } else if (training.experts[slot.expert].heads > 0) {
    run_query<T>(attention_weights<T>(training, memory, slot.expert),
                 attention_results<T>(training, memory, slot.index), vectors_of_slot(training, memory, slot.index),
                 head, shared);
  }
}

/// Gradients of the mixing weights, of the router's logits and of the mean of x.
__device__ inline void enter_router(const Training& training, const TrainingMemory& memory, int image, float* shared) {
  const Shape& shape = training.shape;
  float* weights = floats_at(memory.work, memory.weights_gradient);
  const int slot = image * shape.top_k + static_cast<int>(threadIdx.x), parts = walks(shape);
  if (static_cast<int>(threadIdx.x) < shape.top_k) {
    const float* outer = training.choice_gradient.weights;
    float total = outer != nullptr ? outer[slot] : 0.0F;
    for (int i = 0; i < parts; ++i) total += floats_at(memory.work, memory.mixing)[slot * parts + i];
    weights[slot] = total;
  }
  __syncthreads();
  run_router_gradient(training, image, weights, floats_at(memory.work, memory.logits_gradient),
                      floats_at(memory.work, memory.mean_gradient), shared);
}

/// Gradients before the fusions' norms; attention's answers; the router. Grid (walks + heads + 1, slots).
template <class T>
__global__ void __launch_bounds__(kThreads, 3)
    enter_kernel(const __grid_constant__ Training training, TrainingMemory memory) {
  __shared__ float shared[2 * kMaxChannels + kThreads * kLanes<T>];
  wait_for_previous_kernel();
  const Slot<T> slot(training, memory, static_cast<int>(blockIdx.y));
  const int piece = static_cast<int>(blockIdx.x), head = piece - walks(training.shape);
  const bool attention = training.experts[slot.expert].heads > 0;
  if (head == kHeads) {
    if (slot.index % training.shape.top_k == 0) enter_router(training, memory, slot.image, shared);
  } else if (head < 0) {
    if (!attention) enter_fusion<T>(training, memory, slot, piece);
  } else if (attention) {
    run_answer_gradient<T>(attention_weights<T>(training, memory, slot.expert),
                           attention_results<T>(training, memory, slot.index),
                           vectors_of_slot(training, memory, slot.index), head, shared);
  }
}

/// Through the fusions; attention's softmax over chunks of positions.
template <Math kMath, int kCols>
__global__ void __launch_bounds__(kThreads, 2)
    fusion_back_kernel(const __grid_constant__ Training training, const __grid_constant__ ProductList list,
                       TrainingMemory memory) {
  using T = typename Product<kMath>::Element;
  extern __shared__ __align__(1024) char shared[];
  wait_for_previous_kernel();
  const int extra = run_products<kMath, kCols>(training, memory, list, shared);
  if (extra < 0) return;
  const int chunks = attention_chunks<T>(training.shape);
  const Slot<T> slot(training, memory, extra / chunks);
  if (training.experts[slot.expert].heads == 0) return;
  run_softmax_gradient<T>(attention_weights<T>(training, memory, slot.expert),
                          attention_results<T>(training, memory, slot.index),
                          vectors_of_slot(training, memory, slot.index), slot.x, extra % chunks, shared);
}

/// Gradients before the branches' norms; attention's keys; the gate. Grid (walks + heads, slots).
template <class T>
__global__ void __launch_bounds__(kThreads, 3)
    leave_kernel(const __grid_constant__ Training training, TrainingMemory memory) {
  __shared__ float shared[3 * kMaxChannels + kThreads * kLanes<T>];
  wait_for_previous_kernel();
  const Slot<T> slot(training, memory, static_cast<int>(blockIdx.y));
  const TrainExpert& expert = training.experts[slot.expert];
  const int piece = static_cast<int>(blockIdx.x), head = piece - walks(training.shape);
  if (expert.heads > 0) {
    if (head < 0) return;
    run_key_gradient<T>(attention_weights<T>(training, memory, slot.expert),
                        vectors_of_slot(training, memory, slot.index), head, shared);
  } else if (head < 0) {
    if (!is_depthwise(training, slot.expert)) leave_norm<T>(training, memory, slot, piece, kBranchGradient, kBranches);
  } else if (head == 0 && expert.hidden > 0) {
    run_gate_gradient<T>(
        {weight_of<T>(training, memory, expert.gate_reduce), weight_of<T>(training, memory, expert.gate_expand),
         vector_of(training, memory, expert.gate_reduce_bias), expert.hidden},
        gate_vectors(training, memory, slot.index), training.shape.channels, shared);
  }
}

/// Attention's norm, 32 channels of one expert.
__device__ inline void leave_attention_norm(const Training& training, const TrainingMemory& memory, int e, int block,
                                            bool results_of_bfloat16, char* shared) {
  const TrainExpert& expert = training.experts[e];
  if (expert.heads == 0) return;
  auto* slots = reinterpret_cast<int*>(shared);
  const int count = slots_of_expert(training.choice.indices, training.shape.slots, e, slots);
  const auto results = [&](int slot) {
    return results_of_bfloat16 ? attention_results<__nv_bfloat16>(training, memory, slot)
                               : attention_results<float>(training, memory, slot);
  };
  run_attention_norm(
      batch_norm_of(training, memory, e), training.shape.channels, training.shape.positions, {slots, count}, results,
      [&](int slot) { return vectors_of_slot(training, memory, slot); }, training.parameters[expert.input_norm.gamma],
      training.parameters[expert.input_norm.beta], means_of(training, memory, e, 0), block,
      reinterpret_cast<float*>(shared + kMaxBatch * sizeof(int)));
}

/// Through the branches; attention's norm.
template <Math kMath, int kCols>
__global__ void __launch_bounds__(kThreads, 2)
    branches_back_kernel(const __grid_constant__ Training training, const __grid_constant__ ProductList list,
                         TrainingMemory memory) {
  using T = typename Product<kMath>::Element;
  extern __shared__ __align__(1024) char shared[];
  wait_for_previous_kernel();
  const int extra = run_products<kMath, kCols>(training, memory, list, shared);
  if (extra < 0) return;
  const int blocks = training.shape.channels / kNormChannels;
  leave_attention_norm(training, memory, extra / blocks, extra % blocks, sizeof(T) == 2, shared);
}

/// Blocks a slot after the products of own_back_kernel.
template <class T>
__host__ __device__ inline int own_pieces(const Shape& shape) {
  return strip_blocks<T>(shape) > walks(shape) ? strip_blocks<T>(shape) : walks(shape);
}

/// Through convolutions before the branches, hybrid's norm, and the magnitudes of edges.
template <Math kMath, int kCols>
__global__ void __launch_bounds__(kThreads, 2)
    own_back_kernel(const __grid_constant__ Training training, const __grid_constant__ ProductList list,
                    TrainingMemory memory) {
  using T = typename Product<kMath>::Element;
  extern __shared__ __align__(1024) char shared[];
  wait_for_previous_kernel();
  const int extra = run_products<kMath, kCols>(training, memory, list, shared);
  if (extra < 0) return;
  const int pieces = own_pieces<T>(training.shape), piece = extra % pieces;
  const Slot<T> slot(training, memory, extra / pieces);
  const Stencil stencil = training.experts[slot.expert].stencil;
  if (stencil == Stencil::edges && piece < strip_blocks<T>(training.shape))
    leave_magnitudes<T>(training.shape, slot, piece);
  if (stencil == Stencil::depthwise && piece < walks(training.shape))
    leave_norm<T>(training, memory, slot, piece, kOwnGradient, kOwn + 1);
}

/// What attention gives x at a strip; beyond the image it repeats the strip's first position.
template <class T>
__device__ void add_attention(const Training& training, const TrainingMemory& memory, const Slot<T>& slot,
                              const Strip<T>& strip, StripSums<T>& sums) {
  const Shape& shape = training.shape;
  int positions[kStrip];
  float x[kStrip][kLanes<T>];
#pragma unroll
  for (int out = 0; out < kStrip; ++out) {
    const int y = strip.first_y + out < shape.height ? strip.first_y + out : strip.first_y;
    positions[out] = y * shape.width + strip.x;
    load_chunk(slot.x + positions[out] * shape.channels + strip.channel, x[out]);
  }
  add_attention_gradient<T, kStrip>(batch_norm_of(training, memory, slot.expert),
                                    vectors_of_slot(training, memory, slot.index),
                                    means_of(training, memory, slot.expert, 0), shape.channels, shape.positions,
                                    positions, strip.channel, x, sums.of);
}

/// The gradient of x, strip by strip.
template <class T>
__device__ void input_gradient(const Training& training, const TrainingMemory& memory, int image, int block) {
  constexpr int n = kLanes<T>;
  const Shape& shape = training.shape;
  const Strip<T> strip(shape, block);
  if (strip.first_y >= shape.height) return;
  StripSums<T> sums;
  float weights = 0.0F, constant[n];
  const float* mean = floats_at(memory.work, memory.mean_gradient) + static_cast<int64_t>(image) * shape.channels;
#pragma unroll
  for (int i = 0; i < n; ++i) constant[i] = mean[strip.channel + i];
#pragma unroll 1
  for (int k = 0; k < shape.top_k; ++k) {
    const Slot<T> slot(training, memory, image * shape.top_k + k);
    const TrainExpert& expert = training.experts[slot.expert];
    weights += slot.weight;
    if (expert.heads > 0) {
      add_attention<T>(training, memory, slot, strip, sums);
    } else {
      add_expert_gradient<T>(training, memory, slot, strip, sums);
    }
    if (expert.hidden == 0) continue;
    const float* gate = gate_vectors(training, memory, slot.index).mean_gradient + strip.channel;
#pragma unroll
    for (int i = 0; i < n; ++i) constant[i] += gate[i];
  }
  const auto count = static_cast<float>(shape.positions);
  const int64_t image_at = static_cast<int64_t>(image) * shape.positions * shape.channels + strip.channel;
#pragma unroll
  for (int out = 0; out < kStrip; ++out) {
    const int y = strip.first_y + out;
    if (y >= shape.height) continue;
    const int64_t at = image_at + static_cast<int64_t>(y * shape.width + strip.x) * shape.channels;
    float upstream[n];
    load_chunk(static_cast<const T*>(training.y_gradient) + at, upstream);
#pragma unroll
    for (int i = 0; i < n; ++i) sums.of[out][i] += weights * upstream[i] + constant[i] / count;
    store_chunk(static_cast<T*>(training.x_gradient) + at, sums.of[out]);
  }
}

/// The gradient of x, and bands of depthwise weight gradients. Grid strip_blocks * B + depthwise * slots.
template <class T>
__global__ void __launch_bounds__(kThreads, 3)
    input_kernel(const __grid_constant__ Training training, TrainingMemory memory, int depthwise_blocks) {
  wait_for_previous_kernel();
  const int strips = strip_blocks<T>(training.shape);
  const int extra = static_cast<int>(blockIdx.x) - strips * training.shape.batch;
  if (extra < 0) {
    input_gradient<T>(training, memory, static_cast<int>(blockIdx.x) / strips, static_cast<int>(blockIdx.x) % strips);
    return;
  }
  const Slot<T> slot(training, memory, extra / depthwise_blocks);
  const TrainExpert& expert = training.experts[slot.expert];
  if (expert.stencil != Stencil::depthwise) return;
  if (expert.depthwise.kernel == 5) {
    sum_bands<T, 5>(training, memory, slot, extra % depthwise_blocks);
  } else {
    sum_bands<T, 3>(training, memory, slot, extra % depthwise_blocks);
  }
}

/// Blocks an expert after the products of weights_kernel: attention's four matrices, the gate's two, depthwise filters.
__host__ __device__ inline int vector_blocks(const TrainExpert& expert, int channels) {
  int blocks = 0;
  if (expert.heads > 0) blocks += 4 * outer_blocks(channels, channels);
  if (expert.hidden > 0) blocks += outer_blocks(expert.hidden, channels) + outer_blocks(channels, expert.hidden);
  if (expert.stencil == Stencil::depthwise) blocks += expert.depthwise.kernel * expert.depthwise.kernel * channels / 32;
  return blocks;
}

__device__ inline void attention_weight(const Training& training, const TrainingMemory& memory, int e,
                                        const SlotList& list, int block) {
  const TrainExpert& expert = training.experts[e];
  const int channels = training.shape.channels, blocks = outer_blocks(channels, channels);
  const auto rows = static_cast<AttentionRows>(block / blocks);
  const bool proj = rows == AttentionRows::proj;
  const Outer outer =
      attention_outer(rows, vectors_of_slot(training, memory, 0), static_cast<int64_t>(memory.slot_floats),
                      floats_at(memory.saved, memory.answers), channels);
  run_attention_outer(rows, training.parameters[proj ? expert.proj : expert.qkv],
                      training.parameters[proj ? expert.proj_bias : expert.qkv_bias], outer, list, block % blocks);
}

__device__ inline void gate_weight(const Training& training, const TrainingMemory& memory, int e, const SlotList& list,
                                   int block) {
  const TrainExpert& expert = training.experts[e];
  const int channels = training.shape.channels, hidden = expert.hidden, reduce = outer_blocks(hidden, channels);
  const GateVectors first = gate_vectors(training, memory, 0);
  const auto stride = static_cast<int64_t>(memory.slot_floats);
  if (block < reduce) {
    const Outer outer{
        {first.reduce_gradient, stride}, {training.choice.mean, channels, training.shape.top_k}, hidden, channels};
    run_outer_gradient(training.parameters[expert.gate_reduce], outer, list, block);
    run_outer_bias(training.parameters[expert.gate_reduce_bias], outer, outer.left, list, block);
  } else {
    const Outer outer{{first.expand_gradient, stride}, {first.hidden, stride}, channels, hidden};
    run_outer_gradient(training.parameters[expert.gate_expand], outer, list, block - reduce);
    run_outer_bias(training.parameters[expert.gate_expand_bias], outer, outer.left, list, block - reduce);
  }
}

/// Block `block` of one expert's vector_blocks.
__device__ inline void vector_weight(const Training& training, const TrainingMemory& memory, int e,
                                     const SlotList& list, int block, float* work) {
  const TrainExpert& expert = training.experts[e];
  const int channels = training.shape.channels;
  if (expert.heads > 0) {
    attention_weight(training, memory, e, list, block);
    return;
  }
  if (expert.hidden > 0) {
    const int blocks = outer_blocks(expert.hidden, channels) + outer_blocks(channels, expert.hidden);
    if (block < blocks) {
      gate_weight(training, memory, e, list, block);
      return;
    }
    block -= blocks;
  }
  const int groups = channels / 32;
  finish_depthwise(training, memory, expert.depthwise, list, block / groups, block % groups * 32, work);
}

/// Gradients of all weights: products, outer products and the router.
template <Math kMath, int kCols>
__global__ void __launch_bounds__(kThreads, 2)
    weights_kernel(const __grid_constant__ Training training, const __grid_constant__ WeightList list,
                   TrainingMemory memory) {
  extern __shared__ __align__(1024) char shared[];
  __shared__ int slots[kMaxBatch];
  wait_for_previous_kernel();
  int extra = static_cast<int>(blockIdx.x) - list.blocks;
  if (extra < 0) {
    const WeightJob job = find_weight_job(list, training.choice.indices, training.shape.slots);
    if (job.task >= 0) run_weight<kMath, kCols>(training, memory, list, job, slots, shared);
    return;
  }
  for (int e = 0; e < training.shape.experts; ++e) {
    const int blocks = vector_blocks(training.experts[e], training.shape.channels);
    if (extra < blocks) {
      const int count = slots_of_expert(training.choice.indices, training.shape.slots, e, slots);
      vector_weight(training, memory, e, {slots, count}, extra, reinterpret_cast<float*>(shared));
      return;
    }
    extra -= blocks;
  }
  run_router_weight_gradient(training, floats_at(memory.work, memory.logits_gradient), extra);
}

}  // namespace codmoe::ops::cuda
