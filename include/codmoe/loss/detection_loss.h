// What a detector is trained on, apart from its experts' balance.
#pragma once

#include <vector>

#include "codmoe/loss/structure_loss.h"
#include "codmoe/loss/uncertainty_loss.h"

namespace codmoe::loss {

struct DetectionLossOptions {
  StructureLossOptions structure = {};  ///< its fields stand among these
  double edge = 0.0;                    ///< coefficient of edge_loss(); 0: off
  UncertaintyOptions uncertainty = {};

  template <class Visitor>
  void fields(Visitor&& visit) {
    structure.fields(visit);
    visit("edge", edge, core::at_least(0.0));
    visit("uncertainty", uncertainty);
  }
  void check() const { structure.check(); }
};

/// structure_loss of all outputs + edge * edge_loss + uncertainty * uncertainty_loss of the finest, the first. The
/// coefficient is uncertainty_coefficient() as a scalar on the device, which a captured CUDA graph reads anew at every
/// replay. Shapes and dtypes as in structure_loss(), which a loss without the other two equals bit for bit.
at::Tensor detection_loss(const std::vector<at::Tensor>& outputs, const at::Tensor& mask_b1hw,
                          const DetectionLossOptions& options, const at::Tensor& uncertainty);

}  // namespace codmoe::loss
