// Weighted cross-entropy and weighted IoU of a map of logits.
#pragma once

#include <cuda_runtime.h>

#include <cstdint>

namespace codmoe::ops::cuda {

/// float32 [images, pixels].
struct StructureMaps {
  int64_t images, pixels;
  bool weighted_bce;
  const float *logits, *mask, *weight;
};

constexpr int kStructureSums = 4;    ///< of a part of an image
constexpr int kStructureSlopes = 3;  ///< of an image, which its gradient needs

/// How many parts an image is summed in.
int64_t structure_parts(const StructureMaps& maps);
/// partial: [images, structure_parts, 4], scratch; slopes: [images, 3], for the backward; loss: a scalar.
cudaError_t structure_forward(const StructureMaps& maps, float* partial, float* slopes, float* loss,
                              cudaStream_t stream);
/// grad: of the loss, a scalar; grad_logits: [images, pixels].
cudaError_t structure_backward(const StructureMaps& maps, const float* slopes, const float* grad, float* grad_logits,
                               cudaStream_t stream);

}  // namespace codmoe::ops::cuda
