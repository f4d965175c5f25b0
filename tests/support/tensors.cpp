#include "support/tensors.h"

#include <ATen/ATen.h>
#include <ATen/CPUGeneratorImpl.h>

#include <algorithm>
#include <cmath>
#include <limits>

namespace codmoe::test {

namespace {

bool have_same_names(const TensorMap& a, const TensorMap& b) {
  return std::ranges::equal(a, b, [](const auto& left, const auto& right) { return left.first == right.first; });
}

double largest(const at::Tensor& tensor) {
  return tensor.numel() == 0 ? 0.0 : tensor.detach().abs().max().to(at::kDouble).item<double>();
}

double smallest_scale(const TensorMap& expected) {
  double largest_of_all = 1e-2;
  for (const auto& [name, tensor] : expected) largest_of_all = std::max(largest_of_all, largest(tensor));
  return 1e-2 * largest_of_all;
}

}  // namespace

double deviation(const at::Tensor& actual, const at::Tensor& expected, double smallest_scale) {
  if (!actual.defined() || actual.sizes() != expected.sizes()) return std::numeric_limits<double>::infinity();
  const auto a = actual.detach().to(at::kCPU, at::kDouble), e = expected.detach().to(at::kCPU, at::kDouble);
  return largest(a - e) / std::max(largest(e), smallest_scale);
}

double worst_deviation(const TensorMap& actual, const TensorMap& expected) {
  const double scale = smallest_scale(expected);
  double worst = 0.0;
  for (const auto& [name, tensor] : expected) {
    const auto found = actual.find(name);
    const double one = deviation(found == actual.end() ? at::Tensor() : found->second, tensor, scale);
    if (!(one <= worst)) worst = one;
    if (std::isnan(worst)) break;
  }
  return worst;
}

testing::AssertionResult is_near(const at::Tensor& actual, const at::Tensor& expected, double tolerance) {
  const double found = deviation(actual, expected);
  if (found <= tolerance) return testing::AssertionSuccess();
  return testing::AssertionFailure() << "deviation " << found << " > " << tolerance << ", shapes "
                                     << (actual.defined() ? c10::str(actual.sizes()) : "undefined") << " and "
                                     << expected.sizes();
}

testing::AssertionResult are_near(const TensorMap& actual, const TensorMap& expected, double tolerance) {
  if (!have_same_names(actual, expected)) return testing::AssertionFailure() << "the names differ";
  const double scale = smallest_scale(expected);
  auto result = testing::AssertionResult(worst_deviation(actual, expected) <= tolerance);
  for (const auto& [name, tensor] : expected) {
    const double found = deviation(actual.at(name), tensor, scale);
    if (!(found <= tolerance)) result << name << " deviates by " << found << " > " << tolerance << "; ";
  }
  return result;
}

testing::AssertionResult are_near_flat(const TensorMap& actual, const at::Tensor& expected, double tolerance) {
  TensorMap parts;
  int64_t offset = 0;
  for (const auto& [name, tensor] : actual) {
    if (offset + tensor.numel() > expected.numel()) return testing::AssertionFailure() << "too few values are expected";
    parts[name] = expected.narrow(0, offset, tensor.numel()).view(tensor.sizes());
    offset += tensor.numel();
  }
  if (offset != expected.numel())
    return testing::AssertionFailure() << expected.numel() << " values are expected, not " << offset;
  return are_near(actual, parts, tolerance);
}

testing::AssertionResult are_equal(const TensorMap& actual, const TensorMap& expected) {
  if (!have_same_names(actual, expected)) return testing::AssertionFailure() << "the names differ";
  for (const auto& [name, tensor] : expected) {
    const auto& other = actual.at(name);
    if (other.scalar_type() != tensor.scalar_type() || !other.equal(tensor)) {
      return testing::AssertionFailure() << name << " differs, by " << deviation(other, tensor);
    }
  }
  return testing::AssertionSuccess();
}

at::Tensor randn(at::IntArrayRef shape, uint64_t seed) {
  return at::randn(shape, at::detail::createCPUGenerator(seed), at::TensorOptions().dtype(at::kDouble));
}

void randomize(torch::nn::Module& module, uint64_t seed) {
  const at::NoGradGuard no_grad;
  for (auto& item : module.named_parameters()) {
    auto& value = item.value();
    const auto noise = randn(value.sizes(), ++seed);
    // Vectors are biases and norm weights; the others get about unit gain.
    const double fan_in = value.dim() < 2 ? 1.0 : static_cast<double>(value[0].numel());
    const double centre = item.key().ends_with("norm.weight") ? 1.0 : 0.0;
    value.copy_(centre + noise * (value.dim() < 2 ? 0.3 : 1.5 / std::sqrt(fan_in)));
  }
  for (auto& item : module.named_buffers()) {
    const auto noise = randn(item.value().sizes(), ++seed);
    if (item.key().ends_with("running_mean")) item.value().copy_(noise);
    if (item.key().ends_with("running_var")) item.value().copy_(noise.abs() + 0.3);
  }
}

TensorMap gradients(const torch::nn::Module& module) {
  TensorMap result;
  for (const auto& item : module.named_parameters()) {
    const auto& gradient = item.value().grad();
    result[item.key()] = gradient.defined() ? gradient.clone() : at::zeros_like(item.value().detach());
  }
  return result;
}

TensorMap buffers(const torch::nn::Module& module) {
  TensorMap result;
  for (const auto& item : module.named_buffers()) result[item.key()] = item.value().detach().clone();
  return result;
}

TensorMap with_prefix(const TensorMap& tensors, const std::string& prefix) {
  TensorMap result;
  for (const auto& [name, tensor] : tensors) {
    if (name.starts_with(prefix)) result[name.substr(prefix.size())] = tensor;
  }
  return result;
}

}  // namespace codmoe::test
