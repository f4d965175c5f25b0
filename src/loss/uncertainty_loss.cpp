#include "codmoe/loss/uncertainty_loss.h"

#include <ATen/ATen.h>
#include <fmt/format.h>

#include <algorithm>
#include <cmath>
#include <numbers>

namespace codmoe::loss {

void UncertaintyOptions::check() const {
  if (end <= start) throw core::BadOption("end", fmt::format("must be above start ({}); it is {}", start, end));
}

double uncertainty_coefficient(const UncertaintyOptions& options, double progress) {
  const double part = std::clamp((progress - options.start) / (options.end - options.start), 0.0, 1.0);
  return options.weight * (1.0 - std::cos(std::numbers::pi * part)) / 2.0;
}

at::Tensor uncertainty_loss(const at::Tensor& logits) {
  const auto wide = at::promote_types(logits.scalar_type(), at::kFloat);
  return (1 - (2 * logits.to(wide).sigmoid() - 1).square()).mean();
}

}  // namespace codmoe::loss
