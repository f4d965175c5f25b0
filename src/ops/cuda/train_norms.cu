// Statistics of the norms over all positions of an expert's images, and the sums that their gradients need: from the
// column sums of every row tile, in a fixed order.
#include "parameters.cuh"
#include "train_access.cuh"
#include "train_launch.h"

namespace codmoe::ops::cuda {

namespace {

constexpr int kFinishChannels = 32;                        ///< of one block
constexpr int kFinishGroups = kThreads / kFinishChannels;  ///< that share the sums of a channel

/// Sums a value over the groups of a channel; the result for all.
__device__ float sum_over_groups(float value, float* shared) {
  const int lane = static_cast<int>(threadIdx.x) % kFinishChannels,
            group = static_cast<int>(threadIdx.x) / kFinishChannels;
  __syncthreads();
  shared[group * kFinishChannels + lane] = value;
  __syncthreads();
  float total = 0.0F;
#pragma unroll
  for (int g = 0; g < kFinishGroups; ++g) total += shared[g * kFinishChannels + lane];
  return total;
}

/// Mean and sum of squares around it, of part i of an expert's positions, and how many they are.
struct PartStatistics {
  float mean, second, count;
};

__device__ PartStatistics part_statistics(const Training& training, const TrainingMemory& memory, bool of_input,
                                          const int* slots, int i, int area, int c) {
  const Shape& shape = training.shape;
  if (of_input) {
    const int64_t at = static_cast<int64_t>(slots[i] / shape.top_k) * shape.channels + c;
    return {training.choice.mean[at], floats_at(memory.saved, memory.second)[at], static_cast<float>(shape.positions)};
  }
  const int tiles = row_tiles(shape), tile = i % tiles;
  const float2 pair = column_sums(training, memory, slots[i / tiles], tile, area)[c];
  return {pair.x, pair.y, static_cast<float>(min(kTileRows, shape.positions - tile * kTileRows))};
}

__device__ void update_running(void* running, int i, float value, float momentum, bool bfloat16) {
  if (bfloat16) {
    auto* element = static_cast<__nv_bfloat16*>(running) + i;
    const float before = __bfloat162float(*element);
    *element = __float2bfloat16(before + momentum * (value - before));
  } else {
    auto* element = static_cast<float*>(running) + i;
    *element += momentum * (value - *element);
  }
}

__device__ bool is_early(const TrainExpert& expert) { return expert.heads > 0 || expert.stencil == Stencil::depthwise; }

/// Mean and variance of norm `norm`, and its running statistics. Grid (C / 32, E).
__global__ void __launch_bounds__(kThreads) finish_statistics_kernel(const __grid_constant__ Training training,
                                                                     TrainingMemory memory, int norm, NormPhase phase) {
  __shared__ int slots[kMaxBatch];
  __shared__ float work[kThreads];
  const Shape& shape = training.shape;
  const int e = static_cast<int>(blockIdx.y), group = static_cast<int>(threadIdx.x) / kFinishChannels;
  const int c = static_cast<int>(blockIdx.x) * kFinishChannels + static_cast<int>(threadIdx.x) % kFinishChannels;
  const TrainExpert& expert = training.experts[e];
  wait_for_previous_kernel();
  const TrainConv* conv = conv_of_channel(expert, norm, c);
  const bool wanted = norm == 1 || is_early(expert) == (phase == NormPhase::early);
  const int count = slots_of_expert(training.choice.indices, shape.slots, e, slots);
  float4& channel = norms_of(training, memory, e, norm)[c];
  if (conv == nullptr) channel = {0.0F, 1.0F, 1.0F, 0.0F};
  if (conv_of_channel(expert, norm, 0) == nullptr || !wanted || count == 0) return;

  const bool of_input = expert.heads > 0;
  const int parts = of_input ? count : count * row_tiles(shape);
  const float total = static_cast<float>(count) * static_cast<float>(shape.positions);
  float first = 0.0F;
  for (int i = group; i < parts; i += kFinishGroups) {
    const auto part = part_statistics(training, memory, of_input, slots, i, norm, c);
    first += part.mean * (part.count / total);
  }
  const float mean = sum_over_groups(first, work);
  float second = 0.0F;
  for (int i = group; i < parts; i += kFinishGroups) {
    const auto part = part_statistics(training, memory, of_input, slots, i, norm, c);
    second += part.second + part.count * (part.mean - mean) * (part.mean - mean);
  }
  second = sum_over_groups(second, work);
  if (group > 0) return;
  float* statistics = statistics_of(training, memory, e, norm);
  statistics[c] = mean;
  const float variance = total > 1.0F ? second / total : INFINITY;
  statistics[shape.channels + c] = variance;
  statistics[2 * shape.channels + c] = rsqrtf(variance + training.eps);
  const int own = c - conv->target_channel;
  channel = {mean, rsqrtf(variance + training.eps), vector_of(training, memory, conv->gamma)[own],
             vector_of(training, memory, conv->beta)[own]};
  if (total <= 1.0F || own >= conv->normed) return;
  update_running(conv->running_mean, own, mean, training.momentum, conv->bfloat16_running);
  update_running(conv->running_var, own, second / (total - 1.0F), training.momentum, conv->bfloat16_running);
  if (own == 0 && conv->batches != nullptr) *conv->batches += 1;
}

/// What the two sums of channel c are gradients of.
struct SumTargets {
  int first = -1, second = -1;  ///< parameters: beta or bias, and gamma
  int channel = 0;              ///< of the parameters
  int norm = -1;                ///< whose means they are
};

__device__ SumTargets sum_targets(const TrainExpert& expert, BackPhase phase, int c) {
  if (phase == BackPhase::own) {
    if (expert.stencil == Stencil::depthwise) return {expert.depthwise.beta, expert.depthwise.gamma, c, 0};
    for (int i = 0; i < expert.conv_count; ++i) {
      const TrainConv& conv = expert.convs[i];
      if (conv.target == kFused || c < conv.target_channel || c >= conv.target_channel + conv.out) continue;
      return {conv.bias, -1, c - conv.target_channel, -1};
    }
    return {};
  }
  if (phase == BackPhase::fusion) {
    if (expert.fusion.norm < 0) return {expert.fusion.bias, -1, c, -1};
    return {expert.fusion.beta, expert.fusion.gamma, c, 1};
  }
  for (int i = 0; i < expert.conv_count; ++i) {
    const TrainConv& conv = expert.convs[i];
    if (conv.target != kFused || c < conv.target_channel || c >= conv.target_channel + conv.out) continue;
    if (conv.norm < 0) return {conv.bias, -1, c - conv.target_channel, -1};
    return {conv.beta, conv.gamma, c - conv.target_channel, 0};
  }
  return {};
}

/// The two sums of channel c that part i of a slot's positions has left.
__device__ float2 part_sums(const Training& training, const TrainingMemory& memory, BackPhase phase, int slot, int i,
                            int c) {
  if (phase == BackPhase::fusion) return received_sums(training, memory, slot, i)[c];
  return column_sums(training, memory, slot, i, phase == BackPhase::branches ? 0 : 1)[c];
}

/// A slot's own sum over positions: attention's gradient of its result, or the gate's.
__device__ void sum_slot(const Training& training, const TrainingMemory& memory, BackPhase phase, int slot, int parts,
                         int c) {
  float total = 0.0F;
  for (int i = 0; i < parts; ++i) {
    const float2 pair = part_sums(training, memory, phase, slot, i, c);
    total += phase == BackPhase::fusion ? pair.x : pair.y;
  }
  slot_vectors(memory, slot)[c] = total;
}

/// Gradients of norms and biases, and the means of a norm's gradient. Grid (C / 32, E).
__global__ void __launch_bounds__(kThreads)
    finish_gradients_kernel(const __grid_constant__ Training training, TrainingMemory memory, BackPhase phase) {
  __shared__ int slots[kMaxBatch];
  __shared__ float work[kThreads];
  const Shape& shape = training.shape;
  const int e = static_cast<int>(blockIdx.y), group = static_cast<int>(threadIdx.x) / kFinishChannels;
  const int c = static_cast<int>(blockIdx.x) * kFinishChannels + static_cast<int>(threadIdx.x) % kFinishChannels;
  const int parts = phase == BackPhase::fusion ? walks(shape) : row_tiles(shape);
  const TrainExpert& expert = training.experts[e];
  wait_for_previous_kernel();
  const int count = slots_of_expert(training.choice.indices, shape.slots, e, slots);
  const bool attention = expert.heads > 0, gated = expert.hidden > 0;
  if ((phase == BackPhase::fusion && attention) || (phase == BackPhase::branches && gated)) {
    for (int i = group; i < count; i += kFinishGroups) sum_slot(training, memory, phase, slots[i], parts, c);
  }
  if (attention) return;
  const SumTargets targets = sum_targets(expert, phase, c);
  float2 sums{0.0F, 0.0F};
  if (targets.first >= 0 || targets.norm >= 0) {
#pragma unroll 4
    for (int i = group; i < count * parts; i += kFinishGroups) {
      const float2 pair = part_sums(training, memory, phase, slots[i / parts], i % parts, c);
      sums.x += pair.x;
      sums.y += pair.y;
    }
  }
  sums = {sum_over_groups(sums.x, work), sum_over_groups(sums.y, work)};
  if (group > 0) return;
  if (targets.first >= 0) store_gradient(training.parameters[targets.first], targets.channel, 0, 0, sums.x);
  if (targets.second >= 0) store_gradient(training.parameters[targets.second], targets.channel, 0, 0, sums.y);
  if (targets.norm < 0) return;
  const float total = fmaxf(static_cast<float>(count) * static_cast<float>(shape.positions), 1.0F);
  means_of(training, memory, e, targets.norm)[c] = {sums.x / total, sums.y / total};
}

dim3 finish_grid(const Shape& shape) {
  return {static_cast<unsigned>(shape.channels / kFinishChannels), static_cast<unsigned>(shape.experts)};
}

}  // namespace

cudaError_t finish_statistics(const Training& training, const TrainingMemory& memory, int norm, NormPhase phase,
                              cudaStream_t stream) {
  return launch_after(finish_statistics_kernel, finish_grid(training.shape), kThreads, 0, stream, training, memory,
                      norm, phase);
}

cudaError_t finish_gradients(const Training& training, const TrainingMemory& memory, BackPhase phase,
                             cudaStream_t stream) {
  return launch_after(finish_gradients_kernel, finish_grid(training.shape), kThreads, 0, stream, training, memory,
                      phase);
}

}  // namespace codmoe::ops::cuda
