// Weights and images from a formula, as in make_timm_vectors.py: what the vectors there were computed from.
#pragma once

#include <ATen/ATen.h>
#include <c10/core/GradMode.h>
#include <torch/nn/module.h>

#include <cmath>
#include <string>
#include <string_view>

#include "codmoe/nn/weights.h"

namespace codmoe::backbone::testing {

/// Numbers in [-1, 1), float64: SplitMix64 over the FNV-1a hash of `key`.
inline at::Tensor uniform(std::string_view key, at::IntArrayRef shape) {
  uint64_t state = 0xCBF29CE484222325;
  for (const char byte : key) state = (state ^ static_cast<unsigned char>(byte)) * 0x100000001B3;
  auto tensor = at::empty(shape, at::kDouble);
  auto* values = tensor.mutable_data_ptr<double>();
  for (int64_t i = 0; i < tensor.numel(); ++i) {
    uint64_t z = state += 0x9E3779B97F4A7C15;
    z = (z ^ (z >> 30)) * 0xBF58476D1CE4E5B9;
    z = (z ^ (z >> 27)) * 0x94D049BB133111EB;
    values[i] = std::ldexp(static_cast<double>((z ^ (z >> 31)) >> 11), -52) - 1.0;
  }
  return tensor;
}

inline at::Tensor fill(const std::string& key, const at::Tensor& tensor) {
  if (key.ends_with("num_batches_tracked")) return at::zeros_like(tensor);
  const auto u = uniform(key, tensor.sizes());
  if (tensor.dim() > 1) return u * std::sqrt(6.0 / static_cast<double>(tensor[0].numel()));
  if (key.ends_with("running_var")) return u * 0.5 + 1.0;
  return key.ends_with(".weight") ? u * 0.25 + 1.0 : u * 0.25;
}

/// Every parameter and buffer, rounded to float32 first.
inline void fill_module(torch::nn::Module& module) {
  const c10::NoGradGuard no_grad;
  for (auto& [key, tensor] : nn::state_dict(module)) tensor.copy_(fill(key, tensor).to(at::kFloat));
}

}  // namespace codmoe::backbone::testing
