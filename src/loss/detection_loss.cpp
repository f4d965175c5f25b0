#include "codmoe/loss/detection_loss.h"

#include <ATen/ATen.h>

#include "codmoe/loss/edge_loss.h"

namespace codmoe::loss {

at::Tensor detection_loss(const std::vector<at::Tensor>& outputs, const at::Tensor& mask_b1hw,
                          const DetectionLossOptions& options, const at::Tensor& uncertainty) {
  auto total = structure_loss(outputs, mask_b1hw, options.structure);
  if (options.edge > 0) total = total + options.edge * edge_loss(outputs.front(), mask_b1hw);
  if (options.uncertainty.weight > 0) total = total + uncertainty * uncertainty_loss(outputs.front());
  return total;
}

}  // namespace codmoe::loss
