#include "codmoe/moe/telemetry.h"

#include <ATen/ATen.h>
#include <ATen/core/grad_mode.h>

#include <algorithm>

namespace codmoe::moe {

namespace {

std::vector<double> shares(const at::Tensor& sums_e) {
  const auto host = (sums_e / sums_e.sum().clamp_min(1e-12)).to(at::kCPU, at::kDouble).contiguous();
  return {host.const_data_ptr<double>(), host.const_data_ptr<double>() + host.numel()};
}

}  // namespace

void LoadMeter::add(const Routing& routing) {
  const at::NoGradGuard no_grad;
  const auto counts_e = assignment_counts(routing);
  const auto probs_e = routing.probs.detach().sum(0);
  const auto entropy = at::special_entr(routing.probs.detach()).sum();
  images_ += routing.batch();
  if (!counts_e_.defined()) {
    counts_e_ = counts_e;
    probs_e_ = probs_e;
    entropy_ = entropy;
    return;
  }
  counts_e_.add_(counts_e);
  probs_e_.add_(probs_e);
  entropy_.add_(entropy);
}

LoadReport LoadMeter::take() {
  if (images_ == 0) return {};
  LoadReport report{shares(counts_e_), shares(probs_e_), entropy_.item<double>() / static_cast<double>(images_)};
  *this = {};
  return report;
}

}  // namespace codmoe::moe
