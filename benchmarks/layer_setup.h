// The layer of the case "layer", its images and its gates: a pure function of the options, the dtype and the device.
#pragma once

#include "benchmarks/layer.h"

namespace codmoe::bench {

class LayerSetup {
 public:
  /// @throws core::UsageError for tf32 on another device than CUDA.
  LayerSetup(const LayerOptions& options, Precision precision, const c10::Device& device);

  moe::SparseCODMoE& layer() { return layer_; }
  /// Gates of draw_gates() on the device, one a set of routes.
  const std::vector<at::Tensor>& gates() const { return gates_; }
  /// The first `batch` images, each value from N(0, 1): [batch, C, H, W] with its own memory.
  at::Tensor images(int64_t batch) const;

 private:
  PrecisionScope scope_;
  moe::SparseCODMoE layer_;
  std::vector<at::Tensor> gates_;
  at::MemoryFormat format_;
  at::Tensor images_;
};

}  // namespace codmoe::bench
