// Where training keeps what it computes. `saved` lives from the forward to its backward, `work` during one of them.
#pragma once

#include <cuda_runtime_api.h>

#include <cstddef>
#include <cstdint>

#include "tiling.h"
#include "training.h"

namespace codmoe::ops::cuda {

/// Maps [N, C] of a slot. Saved ones first, then their gradients, which only the backward has.
enum Map : int {
  kInput = -1,     ///< x
  kFused = 0,      ///< what the fusion reads
  kOwn = 1,        ///< to 3: what the branches read, where it is not x (as in Conv); hybrid: normed in 1, unnormed in 2
  kBranches = 4,   ///< the branches' results before their norm, or the GELU where there is none
  kFusion = 5,     ///< the fusion's result before its norm
  kSavedMaps = 6,  //
  kFusionGradient = kSavedMaps,
  kBranchGradient,                    ///< of kBranches
  kOwnGradient,                       ///< of kOwn, three
  kInputGradient = kOwnGradient + 3,  ///< what the expert's convolutions give x
  kMaps
};
constexpr int kGradientMaps = kMaps - kSavedMaps;

/// Positions of a block that goes through maps value by value: few where few slots would leave multiprocessors idle.
__host__ __device__ constexpr int walk_rows(const Shape& shape) { return shape.slots < 64 ? 32 : 64; }
/// Blocks of so many positions of one image.
__host__ __device__ constexpr int walks(const Shape& shape) {
  return (shape.positions + walk_rows(shape) - 1) / walk_rows(shape);
}

/// Two sums over positions for each channel of a slot's row tile, of up to two products at a time: of the first norm,
/// and of what comes before it.
constexpr int kAreas = kNorms;

/// Floats of one slot's AttentionVectors.
__host__ __device__ constexpr int64_t attention_vector_floats(int channels, int positions, int chunks) {
  return static_cast<int64_t>(channels) * (6 + (7 + chunks) * kHeads) + static_cast<int64_t>(positions) * 2 * kHeads;
}

/// Floats of one slot's GateVectors that are the backward's.
__host__ __device__ constexpr int64_t gate_vector_floats(int channels, int hidden) {
  return static_cast<int64_t>(channels) * 3 + static_cast<int64_t>(hidden) * 2;
}

struct TrainingMemory {
  char* saved = nullptr;
  char* work = nullptr;

  // Offsets into `saved`.
  std::size_t weights = 0;     ///< elements, as Parameter::packed and ::reversed say
  std::size_t vectors = 0;     ///< float, as Parameter::packed says
  std::size_t maps = 0;        ///< elements [slots, kSavedMaps, N, C]
  std::size_t statistics = 0;  ///< float [E, kNorms, 3, C]: mean, variance, 1 / deviation
  std::size_t norms = 0;       ///< float4 [E, kNorms, C], ChannelNorm
  std::size_t folded = 0;      ///< float [slots, heads, C], attention as in Scratch
  std::size_t sums = 0;        ///< float [slots, chunks, heads, C]
  std::size_t totals = 0;      ///< float [slots, chunks, heads, 2]
  std::size_t answers = 0;     ///< float [slots, C]: attention's answer, or the gate
  std::size_t projected = 0;   ///< float [slots, C]: attention's result
  std::size_t second = 0;      ///< float [B, C]: sum over positions of (x - mean)^2
  std::size_t saved_bytes = 0;

  // Offsets into `work`. Forward and backward each use it from its start.
  std::size_t pooled = 0;       ///< float2 [B, kPoolSplits, C]
  std::size_t column_sums = 0;  ///< float2 [slots, row tiles, kAreas, C]
  std::size_t received = 0;     ///< float2 [slots, walks, C]: column sums of what reaches the fusions
  std::size_t gradients = 0;    ///< elements [slots, kGradientMaps, N, C]
  std::size_t means = 0;        ///< float2 [E, kNorms, C]: of a norm's gradient, alone and times the normed value
  std::size_t mixing = 0;       ///< float [slots, walks]: parts of the gradient of the mixing weights
  std::size_t parts = 0;        ///< float [split blocks, sums of a tile]
  std::size_t counters = 0;     ///< int [split blocks], zero between kernels
  int forward_splits = 0, backward_splits = 0;  ///< the most split blocks of a kernel of either direction
  std::size_t depthwise = 0;                    ///< float [slots, bands, taps, C]
  std::size_t slot_vectors = 0;                 ///< float [slots, slot_floats]: AttentionVectors or GateVectors
  std::size_t slot_floats = 0;
  // Gradients of the router's results: float [B, k], [B, E], and [B, C] of the mean of x.
  std::size_t weights_gradient = 0, logits_gradient = 0, mean_gradient = 0;
  std::size_t forward_bytes = 0, backward_bytes = 0;
};

}  // namespace codmoe::ops::cuda
