#include "benchmarks/agreement.h"

#include <ATen/ATen.h>
#include <fmt/format.h>

#include <cmath>
#include <limits>

#include "codmoe/core/error.h"

namespace codmoe::bench {

double relative_deviation(const at::Tensor& actual, const at::Tensor& expected) {
  const auto reference = expected.to(at::kDouble);
  return ((actual.to(at::kDouble) - reference).abs().max() / reference.abs().max()).item<double>();
}

double tolerance(Precision precision) {
  switch (precision) {
    case Precision::float32:
      return 1e-4;
    case Precision::tf32:
      return 5e-3;
    case Precision::bfloat16:
      return 2e-2;
  }
  TORCH_CHECK(false, "unknown precision");
}

void check_agreement(const std::string& what, const std::vector<Answer>& answers, double tolerance) {
  const Answer* worst = nullptr;
  double worst_deviation = tolerance;
  for (std::size_t i = 1; i < answers.size(); ++i) {
    double deviation = relative_deviation(answers[i].value, answers[0].value);
    if (std::isnan(deviation)) deviation = std::numeric_limits<double>::infinity();
    if (deviation <= worst_deviation) continue;
    worst = &answers[i];
    worst_deviation = deviation;
  }
  if (worst == nullptr) return;
  throw core::Error(fmt::format("{}: {} deviates from {} by {:.2e} of the largest value; allowed is {:.0e}", what,
                                worst->name, answers[0].name, worst_deviation, tolerance));
}

}  // namespace codmoe::bench
