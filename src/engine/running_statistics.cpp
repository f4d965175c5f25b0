#include "running_statistics.h"

#include <ATen/ATen.h>
#include <ATen/core/grad_mode.h>

#include "one_row.h"

namespace codmoe::engine {

std::vector<at::Tensor> running_statistics(const core::TensorMap& state, const dist::Owners& owners) {
  std::vector<at::Tensor> found;
  for (const auto& [name, tensor] : state) {
    if (owners.contains(name)) continue;
    if (name.ends_with("running_mean") || name.ends_with("running_var")) found.push_back(tensor.detach());
  }
  return found;
}

void average_over_ranks(const std::vector<at::Tensor>& tensors, dist::Group& group) {
  if (tensors.empty()) return;
  const at::NoGradGuard no_grad;
  auto row = in_one_row(tensors);
  group.sum(row);
  copy_from_row(tensors, row.div_(static_cast<double>(group.ranks())));
}

}  // namespace codmoe::engine
