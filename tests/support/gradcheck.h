// Autograd's derivatives against central differences, in float64.
#pragma once

#include <functional>

#include "support/tensors.h"

namespace codmoe::test {

/// A function of leaf tensors that are changed in place between its calls; gives its results by name.
using Differentiable = std::function<TensorMap()>;

struct GradcheckOptions {
  /// Every element of the Jacobian, for small shapes. Otherwise one number a leaf: the derivative of a random weighting
  /// of all results along a random direction of length 1 (torch.autograd.gradcheck's fast mode).
  bool full = false;
  double step = 1e-6;      ///< below the cube root of float64's resolution: norms of few values bend on a scale of 3e-3
  double relative = 1e-6;  ///< a derivative may be off by absolute + relative * |central difference|
  double absolute = 1e-7;
  uint64_t seed = 1;  ///< of weighting and directions
};

/// Whether autograd and central differences agree for every leaf (float64, requires_grad; an input or a parameter). The
/// message names the worst element. Inputs must lie further than `step` from any kink: |x|, a clamp, a choice.
testing::AssertionResult gradcheck(const Differentiable& function, const TensorMap& leaves,
                                   const GradcheckOptions& options = {});

/// A copy of `value` that is a leaf of its own, with its strides.
at::Tensor leaf(const at::Tensor& value);

/// The module's own parameters by name, not copies.
TensorMap parameters(const torch::nn::Module& module);

}  // namespace codmoe::test
