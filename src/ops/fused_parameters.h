// The experts' parameters in the order in which training's kernels and autograd number them.
#pragma once

#include <ATen/core/Tensor.h>

#include <string>
#include <vector>

#include "codmoe/ops/fused_moe.h"
#include "cuda/training.h"
#include "fused_widths.h"

namespace codmoe::ops {

/// A tensor [out, in, k, k] or [out] whose dimensions lie in such groups. Rows of taps must follow one another as
/// columns do, so that one stride serves all.
cuda::Parameter fused_parameter(const at::Tensor& value, const cuda::Groups& out, const cuda::Groups& in);

/// Whether fused_parameter can describe it.
bool has_tap_stride(const at::Tensor& weight);

class FusedParameters {
 public:
  /// Adds a parameter to `training` and returns its index; -1 where it is undefined. Weights are copied in both orders,
  /// `as_vector` (and vectors) as float.
  int add(const at::Tensor& value, cuda::Training& training, const cuda::Groups& out, const cuda::Groups& in = {},
          bool as_vector = false);

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
std::string training_form_refusal(const std::vector<FusedExpert>& experts, const c10::Device& device,
                                  const FusedWidths& widths);

/// Describes the experts to `training`.
FusedParameters describe_training(const std::vector<FusedExpert>& experts, const FusedWidths& widths,
                                  cuda::Training& training);

}  // namespace codmoe::ops
