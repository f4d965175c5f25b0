#include "codmoe/moe/balance.h"

#include <ATen/ATen.h>
#include <fmt/format.h>

#include <algorithm>

#include "codmoe/dist/shared_statistics.h"

namespace codmoe::moe {

void BalanceOptions::check() const {
  if (end <= start) throw core::BadOption("end", fmt::format("must be after start ({}); it is {}", start, end));
  if (max < min) throw core::BadOption("max", fmt::format("must be at least min ({}); it is {}", min, max));
}

double balance_coefficient(const BalanceOptions& options, int64_t epoch) {
  const auto progress = static_cast<double>(epoch - options.start) / static_cast<double>(options.end - options.start);
  return options.min + (options.max - options.min) * std::clamp(progress, 0.0, 1.0);
}

namespace {

/// E * sum_e f_e * P_e: 1 where load or probability is even, E where one expert has both.
at::Tensor imbalance(const Routing& routing) {
  auto counts_e = assignment_counts(routing);
  if (auto* group = dist::SharedStatistics::of_loads()) group->sum(counts_e);
  const auto share_e = counts_e / counts_e.sum();
  const auto mean_e = routing.probs.movedim(1, -1).reshape({-1, routing.experts()}).mean(0);
  return static_cast<double>(routing.experts()) * (share_e * mean_e).sum();
}

}  // namespace

at::Tensor balance_loss(const Routing& routing, const BalanceOptions& options, int64_t epoch) {
  return balance_loss(routing, options, at::full({}, balance_coefficient(options, epoch), routing.probs.options()));
}

at::Tensor balance_loss(const Routing& routing, const BalanceOptions& options, const at::Tensor& coefficient) {
  // log_softmax would need z; the smallest float32 keeps log finite where a probability underflows.
  const auto entropy = -(routing.probs * routing.probs.clamp_min(1e-38).log()).sum(1).mean();
  auto total = -options.entropy * entropy;
  if (options.method == BalanceMethod::loss) total = total + coefficient * imbalance(routing);
  if (options.z > 0) total = total + options.z * routing.logits.logsumexp(1).square().mean();
  return total;
}

}  // namespace codmoe::moe
