#include "codmoe/engine/ema.h"

#include <ATen/ATen.h>
#include <ATen/core/grad_mode.h>
#include <fmt/format.h>
#include <spdlog/spdlog.h>

#include <algorithm>
#include <cmath>

#include "codmoe/core/error.h"
#include "codmoe/moe/expert_parallel.h"
#include "device_lists.h"

namespace codmoe::engine {

double ema_decay(const EmaOptions& options, int64_t n) {
  if (n <= 1) return 0.0;
  if (!options.warmup) return options.decay;
  return std::min(options.decay, 1.0 - std::pow(static_cast<double>(n), -2.0 / 3.0));
}

WeightAverage::WeightAverage(const torch::nn::Module& model) {
  const at::NoGradGuard no_grad;
  const auto elsewhere = moe::experts_elsewhere(model);
  for (const auto& [name, tensor] : nn::state_dict(model)) {
    const auto average = tensor.clone();
    average_[name] = average;
    if (elsewhere.contains(name)) continue;
    (tensor.is_floating_point() ? averages_ : kept_whole_).push_back(average);
    (tensor.is_floating_point() ? values_ : whole_).push_back(tensor);
  }
}

void WeightAverage::update(const at::Tensor& weight, const at::Tensor& left_out) {
  const at::NoGradGuard no_grad;
  move_towards(averages_, values_, weight, left_out);
  if (!whole_.empty()) at::_foreach_copy_(kept_whole_, whole_);
}

void WeightAverage::load(const core::TensorMap& state, const std::string& source) {
  const at::NoGradGuard no_grad;
  for (const auto& [name, average] : average_) {
    const auto found = state.find(name);
    if (found == state.end()) throw core::Error(fmt::format("{}: lacks {}", source, name));
    if (found->second.sizes() != average.sizes()) {
      throw core::Error(fmt::format("{}: {} has another shape than the model's", source, name));
    }
  }
  if (state.size() != average_.size()) {
    throw core::Error(fmt::format("{}: has {} tensors, the model {}", source, state.size(), average_.size()));
  }
  for (auto& [name, average] : average_) average.copy_(state.at(name));
}

AveragedWeights::AveragedWeights(WeightAverage* average) : average_(average) {
  if (average_ == nullptr) return;
  const at::NoGradGuard no_grad;
  for (const auto& value : average_->values_) own_.push_back(value.clone());
  at::_foreach_copy_(average_->values_, average_->averages_);
}

AveragedWeights::~AveragedWeights() {
  if (average_ == nullptr) return;
  try {
    const at::NoGradGuard no_grad;
    at::_foreach_copy_(average_->values_, own_);
  } catch (const std::exception& failure) {  // the device has failed: what threw before says so
    spdlog::error("the weights could not be put back: {}", failure.what());
  }
}

}  // namespace codmoe::engine
