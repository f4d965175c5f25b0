#include "running_statistics.h"

#include <ATen/ATen.h>
#include <ATen/core/grad_mode.h>

#include "one_row.h"

namespace codmoe::engine {

RunningStatistics::RunningStatistics(const core::TensorMap& state, const dist::Owners& owners) {
  for (const auto& [name, tensor] : state) {
    if (owners.contains(name)) continue;
    if (name.ends_with("running_mean") || name.ends_with("running_var")) statistics_.push_back(tensor.detach());
  }
}

void RunningStatistics::remember() {
  const at::NoGradGuard no_grad;
  if (!statistics_.empty()) remembered_ = in_one_row(statistics_);
}

void RunningStatistics::average_changes(dist::Group& group) {
  if (statistics_.empty()) return;
  const at::NoGradGuard no_grad;
  // Of changes, not of values: those of frozen norms stay as they are, whatever rounds.
  const auto changes = in_one_row(statistics_) - remembered_;
  group.sum(changes);
  copy_from_row(statistics_, remembered_ + changes / static_cast<double>(group.ranks()));
  remembered_.reset();
}

}  // namespace codmoe::engine
