// An op on a GPU in float32 and bfloat16, beside the same on the CPU in float64: values and gradients.
#pragma once

#include <ATen/ATen.h>
#include <gtest/gtest.h>

#include <functional>
#include <vector>

#include "support/cuda.h"
#include "support/tensors.h"

namespace codmoe::ops {

/// From inputs to outputs.
using Op = std::function<std::vector<at::Tensor>(const std::vector<at::Tensor>&)>;

struct OpCase {
  Op op;
  std::vector<at::Tensor> inputs;  ///< float64; rounded first, so that all runs take the same values
  std::vector<bool> is_map;        ///< of each input: a map, of the case's type; else a parameter, float32
  std::vector<bool> wanted = {};   ///< of each input: whether its gradient is; empty: all are
};

/// Outputs, then gradients of the inputs for upstream gradients that are a function of the place alone; float64.
inline test::TensorMap run_op(const OpCase& which, at::ScalarType type, c10::Device device) {
  std::vector<at::Tensor> inputs;
  for (std::size_t i = 0; i < which.inputs.size(); ++i) {
    const auto rounded = which.is_map[i] ? which.inputs[i].to(type) : which.inputs[i].to(at::kFloat);
    inputs.push_back((device.is_cpu() ? rounded.to(at::kDouble) : rounded.to(device)).detach());
    inputs.back().set_requires_grad(which.wanted.empty() || which.wanted[i]);
  }
  const auto outputs = which.op(inputs);
  at::Tensor sum;
  test::TensorMap results;
  for (std::size_t i = 0; i < outputs.size(); ++i) {
    results["output " + std::to_string(i)] = outputs[i].detach().to(at::kCPU, at::kDouble);
    const auto upstream = test::randn(outputs[i].sizes(), 100 + i).to(type).to(outputs[i].options());
    const auto part = (outputs[i].to(at::kDouble) * upstream.to(at::kDouble)).sum();
    sum = sum.defined() ? sum + part : part;
  }
  sum.backward();
  for (std::size_t i = 0; i < inputs.size(); ++i) {
    EXPECT_EQ(inputs[i].grad().defined(), inputs[i].requires_grad()) << "input " << i;
    if (inputs[i].grad().defined())
      results["gradient " + std::to_string(i)] = inputs[i].grad().to(at::kCPU, at::kDouble);
  }
  return results;
}

/// Of an op of two inputs: either gradient alone.
inline const std::vector<std::vector<bool>> kOneWanted = {{true, false}, {false, true}};

/// Deviations relative to each result's largest value: at most 1e-5 of float32 and 1e-2 of bfloat16, whose outputs are
/// rounded to 8 bits.
inline void expect_as_on_cpu(const OpCase& which) {
  if (!test::has_cuda()) GTEST_SKIP() << "no CUDA device";
  for (const auto type : {at::kFloat, at::kBFloat16}) {
    const auto exact = run_op(which, type, c10::kCPU), actual = run_op(which, type, c10::kCUDA);
    for (const auto& [name, values] : exact) {
      EXPECT_LE(test::deviation(actual.at(name), values), type == at::kFloat ? 1e-5 : 1e-2) << name << " " << type;
    }
    const auto again = run_op(which, type, c10::kCUDA);
    for (const auto& [name, values] : actual) EXPECT_TRUE(again.at(name).equal(values)) << name << " " << type;
  }
}

}  // namespace codmoe::ops
