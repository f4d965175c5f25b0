#include "codmoe/backbone/backbone.h"

#include <ATen/ATen.h>
#include <fmt/format.h>
#include <torch/nn/modules/batchnorm.h>

#include <algorithm>

#include "codmoe/nn/checkpoint.h"
#include "codmoe/nn/drop_path.h"

namespace codmoe::backbone {

namespace {

template <class Part>
std::vector<Part*> parts_of(const torch::nn::Module& module) {
  std::vector<Part*> parts;
  for (const auto& part : module.modules(/*include_self=*/false)) {
    if (auto* found = part->as<Part>()) parts.push_back(found);
  }
  return parts;
}

void set_requires_grad(const torch::nn::Module& module, bool on) {
  for (auto& parameter : module.parameters()) parameter.set_requires_grad(on);
}

}  // namespace

std::vector<at::Tensor> Backbone::forward(const at::Tensor& x_bchw) {
  const auto format = x_bchw.suggest_memory_format();
  std::vector<at::Tensor> features;
  auto x = x_bchw;
  for (std::size_t i = 0; i < strides.size(); ++i) {
    // The alias sums what flows back from within the stage, as a checkpoint does: both give the same bits.
    x = checkpointed_[i] ? checkpointed_stage(i, x) : stage(i, at::alias(x));
    features.push_back(x.contiguous(format));
  }
  return features;
}

at::Tensor Backbone::checkpointed_stage(std::size_t index, const at::Tensor& x_bchw) {
  auto self = std::static_pointer_cast<Backbone>(shared_from_this());  // the graph may outlive the caller's pointer
  return nn::checkpoint({.function = [self, index](const at::Tensor& x) { return self->stage(index, x); },
                         .modules = stage_modules(index),
                         .preserve_random_state = draws_random_numbers_ && is_training()},
                        x_bchw);
}

void Backbone::freeze(const Frozen& frozen) {
  frozen_ = frozen;
  for (std::size_t i = 0; i < strides.size(); ++i) {
    for (const auto& module : stage_modules(i)) set_requires_grad(*module, i >= frozen_.stages);
  }
  if (frozen_.batch_norms) {
    for (const auto* norm : parts_of<torch::nn::BatchNorm2dImpl>(*this)) set_requires_grad(*norm, false);
  }
  train(is_training());
}

void Backbone::train(bool on) {
  torch::nn::Module::train(on);
  for (std::size_t i = 0; i < frozen_.stages; ++i) {
    for (const auto& module : stage_modules(i)) module->eval();
  }
  if (!frozen_.batch_norms) return;
  for (auto* norm : parts_of<torch::nn::BatchNorm2dImpl>(*this)) norm->eval();
}

bool Backbone::has_batch_norm() const { return !parts_of<torch::nn::BatchNorm2dImpl>(*this).empty(); }

bool Backbone::set_drop_path(double rate) {
  const auto paths = parts_of<nn::DropPathImpl>(*this);
  for (std::size_t i = 0; i < paths.size(); ++i) paths[i]->set_rate(rate * drop_path_share(i, paths.size()));
  draws_random_numbers_ = !paths.empty() && rate > 0.0;
  return !paths.empty();
}

bool Backbone::restores_random_state() const {
  return draws_random_numbers_ && std::ranges::find(checkpointed_, true) != checkpointed_.end();
}

double Backbone::drop_path_share(std::size_t block, std::size_t blocks) const {
  return blocks == 1 ? 0.0 : static_cast<double>(block) / static_cast<double>(blocks - 1);
}

void Backbone::set_checkpoint(const std::vector<int64_t>& some) {
  check_strides("checkpoint", some);
  for (std::size_t i = 0; i < strides.size(); ++i) checkpointed_[i] = std::ranges::count(some, strides[i]) > 0;
}

void check_strides(const std::string& key, const std::vector<int64_t>& some) {
  for (const auto stride : some) {
    if (std::ranges::count(Backbone::strides, stride) == 0 || std::ranges::count(some, stride) > 1) {
      throw core::BadOption(key, fmt::format("must be different ones of 4, 8, 16, 32; {} is not", stride));
    }
  }
}

}  // namespace codmoe::backbone
