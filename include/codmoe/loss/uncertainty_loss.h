// Undecided pixels cost something.
#pragma once

#include <ATen/core/Tensor.h>

#include "codmoe/core/options.h"

namespace codmoe::loss {

/// The coefficient grows from 0 to `weight` by half a cosine between two moments of the run.
struct UncertaintyOptions {
  double weight = 0.0;  ///< 0: off
  double start = 0.0;   ///< part of the run that is done
  double end = 1.0;

  template <class Visitor>
  void fields(Visitor&& visit) {
    visit("weight", weight, core::at_least(0.0));
    visit("start", start, core::between(0.0, 1.0));
    visit("end", end, core::between(0.0, 1.0));
  }
  void check() const;
};

/// weight * (1 - cos(pi * clamp((progress - start) / (end - start), 0, 1))) / 2; `progress` is the part of the run that
/// is done. Source: ZoomNet and ZoomNeXt (Pang et al., CVPR 2022, TPAMI 2024).
double uncertainty_coefficient(const UncertaintyOptions& options, double progress);

/// Mean of 1 - |2 p - 1|^2 with p = sigmoid(logits), of any shape: 1 where every pixel is undecided, 0 where all are
/// certain, right or wrong. In float32 at least. Source: ZoomNeXt's uncertainty-aware loss.
at::Tensor uncertainty_loss(const at::Tensor& logits);

}  // namespace codmoe::loss
