// Where a kernel of training finds the arrays of a slot, an image or an expert.
#pragma once

#include "elements.cuh"
#include "training_memory.h"

namespace codmoe::ops::cuda {

/// One slot: image, expert and maps.
template <class T>
struct Slot {
  int index, image, expert, map_size;
  float weight;  ///< of the mixture
  const T* x;
  T* saved;      ///< [kSavedMaps, N, C]
  T* gradients;  ///< [kGradientMaps, N, C], in the backward

  __device__ Slot(const Training& training, const TrainingMemory& memory, int slot)
      : index(slot), image(slot / training.shape.top_k), map_size(training.shape.positions * training.shape.channels) {
    expert = static_cast<int>(training.choice.indices[slot]);
    weight = training.choice.weights[slot];
    x = static_cast<const T*>(training.x) + static_cast<int64_t>(image) * map_size;
    saved = reinterpret_cast<T*>(memory.saved + memory.maps) + static_cast<int64_t>(slot) * kSavedMaps * map_size;
    gradients =
        reinterpret_cast<T*>(memory.work + memory.gradients) + static_cast<int64_t>(slot) * kGradientMaps * map_size;
  }

  __device__ T* map(int id) const {
    return id < kSavedMaps ? saved + id * map_size : gradients + (id - kSavedMaps) * map_size;
  }
  __device__ const T* source(int id) const { return id == kInput ? x : map(id); }
};

__device__ inline float* floats_at(char* base, size_t offset) { return reinterpret_cast<float*>(base + offset); }
__device__ inline float2* pairs_at(char* base, size_t offset) { return reinterpret_cast<float2*>(base + offset); }

template <class T>
__device__ inline const T* packed_weight(const TrainingMemory& memory, int offset) {
  return reinterpret_cast<const T*>(memory.saved + memory.weights) + offset;
}
__device__ inline const float* packed_vector(const TrainingMemory& memory, int offset) {
  return floats_at(memory.saved, memory.vectors) + offset;
}
__device__ inline const float* vector_of(const Training& training, const TrainingMemory& memory, int parameter) {
  return packed_vector(memory, training.parameters[parameter].packed);
}
template <class T>
__device__ inline const T* weight_of(const Training& training, const TrainingMemory& memory, int parameter) {
  return packed_weight<T>(memory, training.parameters[parameter].packed);
}
template <class T>
__device__ inline const T* reversed_of(const Training& training, const TrainingMemory& memory, int parameter) {
  return packed_weight<T>(memory, training.parameters[parameter].reversed);
}

/// [C] of one slot.
__device__ inline float* slot_row(const Training& training, char* base, size_t offset, int slot) {
  return floats_at(base, offset) + static_cast<int64_t>(slot) * training.shape.channels;
}

__device__ inline bool is_depthwise(const Training& training, int expert) {
  return training.experts[expert].stencil == Stencil::depthwise;
}

__host__ __device__ inline int row_tiles(const Shape& shape) { return (shape.positions + kTileRows - 1) / kTileRows; }

/// Column sums [C] of one row tile of a slot.
__device__ inline float2* column_sums(const Training& training, const TrainingMemory& memory, int slot, int tile,
                                      int area) {
  const int64_t row = (static_cast<int64_t>(slot) * row_tiles(training.shape) + tile) * kAreas + area;
  return pairs_at(memory.work, memory.column_sums) + row * training.shape.channels;
}

/// Column sums [C] of what reaches one walk of a slot's fusion.
__device__ inline float2* received_sums(const Training& training, const TrainingMemory& memory, int slot, int walk) {
  return pairs_at(memory.work, memory.received) +
         (static_cast<int64_t>(slot) * walks(training.shape) + walk) * training.shape.channels;
}

/// The backward's vectors of one slot; the first [C] is what its positions sum up to, the others as the experts need.
__device__ inline float* slot_vectors(const TrainingMemory& memory, int slot) {
  return floats_at(memory.work, memory.slot_vectors) +
         static_cast<int64_t>(slot) * static_cast<int64_t>(memory.slot_floats);
}

/// A norm's convolution of whose result channel c is part; null where there is none.
__device__ inline const TrainConv* conv_of_channel(const TrainExpert& expert, int norm, int c) {
  if (expert.heads > 0) return norm == 0 ? &expert.input_norm : nullptr;
  if (norm == 1) return expert.fusion.norm >= 0 ? &expert.fusion : nullptr;
  if (expert.stencil == Stencil::depthwise) return &expert.depthwise;
  for (int i = 0; i < expert.conv_count; ++i) {
    const TrainConv& conv = expert.convs[i];
    if (conv.norm == norm && c >= conv.target_channel && c < conv.target_channel + conv.out) return &conv;
  }
  return nullptr;
}

/// One channel of a norm, its statistics of this batch.
struct alignas(16) ChannelNorm {
  float mean = 0.0F, rstd = 1.0F, gamma = 1.0F, beta = 0.0F;

  __device__ float normed(float value) const { return (value - mean) * rstd; }
  __device__ float apply(float value) const { return gamma * normed(value) + beta; }
};

/// Mean, variance and 1 / deviation, [C] each.
__device__ inline float* statistics_of(const Training& training, const TrainingMemory& memory, int expert, int norm) {
  return floats_at(memory.saved, memory.statistics) +
         static_cast<int64_t>(expert * kNorms + norm) * 3 * training.shape.channels;
}

__device__ inline float2* means_of(const Training& training, const TrainingMemory& memory, int expert, int norm) {
  return pairs_at(memory.work, memory.means) + static_cast<int64_t>(expert * kNorms + norm) * training.shape.channels;
}

__device__ inline float4* norms_of(const Training& training, const TrainingMemory& memory, int expert, int norm) {
  return reinterpret_cast<float4*>(memory.saved + memory.norms) +
         static_cast<int64_t>(expert * kNorms + norm) * training.shape.channels;
}

/// As finish_statistics left it: identity where the expert has no such norm.
__device__ inline ChannelNorm channel_norm(const Training& training, const TrainingMemory& memory, int expert, int norm,
                                           int c) {
  const float4 values = norms_of(training, memory, expert, norm)[c];
  return {values.x, values.y, values.z, values.w};
}

}  // namespace codmoe::ops::cuda
