// The loss of the field: weighted binary cross-entropy plus weighted IoU.
#pragma once

#include <ATen/core/Tensor.h>

#include <vector>

#include "codmoe/core/options.h"

namespace codmoe::loss {

enum class BceWeighting {
  fixed,  ///< the cross-entropy of each pixel is weighted, as the paper says
  legacy  ///< plain mean cross-entropy, as the papers' code computes: `reduce='none'` there means the mean
};
constexpr auto enum_names(BceWeighting) {
  return core::names<BceWeighting>({{"fixed", BceWeighting::fixed}, {"legacy", BceWeighting::legacy}});
}

/// The defaults are F3Net's.
struct StructureLossOptions {
  BceWeighting bce = BceWeighting::fixed;
  int64_t window = 31;                     ///< pixels, odd
  double weight = 5.0;                     ///< of a pixel at an edge, above 1
  std::vector<double> level_weights = {};  ///< of each output, finest first; empty: 1 for each

  template <class Visitor>
  void fields(Visitor&& visit) {
    visit("bce", bce);
    visit("window", window, core::at_least(1));
    visit("weight", weight, core::at_least(0.0));
    visit("level_weights", level_weights, core::at_least(0.0));
  }
  void check() const;
};

/// logits, mask: [B, 1, H, W], mask in [0, 1]; a scalar, the mean over images of
/// sum(w * bce) / sum(w) + 1 - (I + 1) / (U - I + 1), with w = 1 + weight * |box mean of the mask - mask|,
/// I = sum(w * p * m), U = sum(w * (p + m)), p = sigmoid(logits). Any floating-point dtype, computed and returned
/// in float32 at least. Source: F3Net (Wei et al. 2020). @throws c10::Error where the shapes differ.
at::Tensor structure_loss(const at::Tensor& logits_b1hw, const at::Tensor& mask_b1hw,
                          const StructureLossOptions& options);

/// Deep supervision: the sum over several outputs, each as above times its level weight, for one mask, whose weights w
/// are computed once. Outputs of weight 0 are not looked at.
/// @throws c10::Error without an output, for another number of level weights, or as above.
at::Tensor structure_loss(const std::vector<at::Tensor>& outputs, const at::Tensor& mask_b1hw,
                          const StructureLossOptions& options);

}  // namespace codmoe::loss
