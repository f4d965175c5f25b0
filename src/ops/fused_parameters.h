// The experts' parameters in the order in which training's kernels and autograd number them.
#pragma once

#include <ATen/core/Tensor.h>

#include <string>
#include <vector>

#include "codmoe/ops/fused_moe.h"
#include "cuda/training.h"

namespace codmoe::ops {

class FusedParameters {
 public:
  /// Adds a parameter to `training` and returns its index; -1 where it is undefined. Weights are copied in both orders,
  /// `as_vector` (and vectors) as float.
  int add(const at::Tensor& value, cuda::Training& training, bool as_vector = false);

  const std::vector<at::Tensor>& tensors() const { return tensors_; }

  /// One gradient a tensor, in its strides and type, not filled yet; `training` points to them.
  std::vector<at::Tensor> make_gradients(cuda::Training& training) const;

 private:
  /// As the tensor was when it was added: kernels write gradients so.
  struct Layout {
    std::vector<int64_t> sizes, strides;
    at::TensorOptions options;
  };

  std::vector<at::Tensor> tensors_;
  std::vector<Layout> layouts_;
  int weights_ = 0, vectors_ = 0;  ///< elements and floats taken
};

/// Why the kernels have no form for one of the experts, or nothing.
std::string training_form_refusal(const std::vector<FusedExpert>& experts, const c10::Device& device, int64_t channels);

/// Describes the experts to `training`.
FusedParameters describe_training(const std::vector<FusedExpert>& experts, cuda::Training& training);

}  // namespace codmoe::ops
