// Comparing tensors, and filling and reading modules, in tests.
#pragma once

#include <ATen/core/Tensor.h>
#include <gtest/gtest.h>
#include <torch/nn/module.h>

#include <string>

#include "codmoe/core/safetensors.h"

namespace codmoe::test {

using core::TensorMap;

/// max |actual - expected| / max |expected|, in float64 on the CPU; infinite where the shapes differ. The divisor is at
/// least `smallest_scale`, for gradients that are sums that cancel.
double deviation(const at::Tensor& actual, const at::Tensor& expected, double smallest_scale = 1e-3);
/// The largest deviation() of the names in `expected`, where the smallest scale is a hundredth of the largest expected
/// value of all; infinite where one is absent.
double worst_deviation(const TensorMap& actual, const TensorMap& expected);

/// Whether deviation() is at most `tolerance`; not a number fails.
testing::AssertionResult is_near(const at::Tensor& actual, const at::Tensor& expected, double tolerance);
/// The same for every name, by worst_deviation()'s scale; both must have the same names.
testing::AssertionResult are_near(const TensorMap& actual, const TensorMap& expected, double tolerance);
/// The same, where all expected values stand in one row, in the order of the names (vectors_file.py's flat()).
testing::AssertionResult are_near_flat(const TensorMap& actual, const at::Tensor& expected, double tolerance);
/// Equal shapes, dtypes and values, bit for bit.
testing::AssertionResult are_equal(const TensorMap& actual, const TensorMap& expected);

/// Standard normal values, the same for the same seed; float64.
at::Tensor randn(at::IntArrayRef shape, uint64_t seed);

/// Gives every parameter and running statistic a random value away from its default, as a trained module has.
void randomize(torch::nn::Module& module, uint64_t seed);

/// Parameters' gradients by name; zeros where a parameter has none.
TensorMap gradients(const torch::nn::Module& module);
/// Copies of the buffers by name.
TensorMap buffers(const torch::nn::Module& module);

/// Tensors whose name begins with `prefix`, without it.
TensorMap with_prefix(const TensorMap& tensors, const std::string& prefix);

}  // namespace codmoe::test
