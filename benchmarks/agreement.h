// Whether several ways to compute one thing agree; nothing is timed that doesn't.
#pragma once

#include <ATen/core/Tensor.h>

#include <string>
#include <vector>

#include "benchmarks/precision.h"

namespace codmoe::bench {

/// One way's result.
struct Answer {
  std::string name;
  at::Tensor value;
};

/// Largest |actual - expected|, over the largest |expected|; not a number where either holds one.
double relative_deviation(const at::Tensor& actual, const at::Tensor& expected);

/// What rounding may make of relative_deviation(): 1e-4 in float32, 5e-3 in tf32, 2e-2 in bfloat16.
double tolerance(Precision precision);

/// Compares every answer with the first. @throws core::Error naming the one that deviates most, and `what`.
void check_agreement(const std::string& what, const std::vector<Answer>& answers, double tolerance);

}  // namespace codmoe::bench
