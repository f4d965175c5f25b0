#include "codmoe/nn/checkpoint.h"

#include <ATen/ATen.h>
#include <ATen/Context.h>
#include <ATen/autocast_mode.h>
#include <ATen/core/grad_mode.h>
#include <torch/csrc/autograd/autograd.h>
#include <torch/csrc/autograd/custom_function.h>
#include <torch/custom_class.h>
#include <torch/nn/modules/batchnorm.h>

#include <array>
#include <mutex>
#include <utility>

#include "codmoe/nn/norm.h"

namespace codmoe::nn {

namespace {

using torch::autograd::AutogradContext;
using torch::autograd::variable_list;
using Modules = std::vector<std::shared_ptr<torch::nn::Module>>;

constexpr std::array<c10::DeviceType, 2> autocast_devices{c10::kCPU, c10::kCUDA};

/// Autocast's switches on this thread.
struct AutocastState {
  std::array<bool, autocast_devices.size()> enabled{};
  std::array<at::ScalarType, autocast_devices.size()> dtype{};
  bool cache = false;

  static AutocastState current() {
    AutocastState state{.cache = at::autocast::is_autocast_cache_enabled()};
    for (std::size_t i = 0; i < autocast_devices.size(); ++i) {
      state.enabled[i] = at::autocast::is_autocast_enabled(autocast_devices[i]);
      state.dtype[i] = at::autocast::get_autocast_dtype(autocast_devices[i]);
    }
    return state;
  }
  void set() const {
    at::autocast::set_autocast_cache_enabled(cache);
    for (std::size_t i = 0; i < autocast_devices.size(); ++i) {
      at::autocast::set_autocast_enabled(autocast_devices[i], enabled[i]);
      at::autocast::set_autocast_dtype(autocast_devices[i], dtype[i]);
    }
  }
};

class AutocastGuard {
 public:
  explicit AutocastGuard(const AutocastState& state) : before_(AutocastState::current()) { state.set(); }
  ~AutocastGuard() { before_.set(); }
  AutocastGuard(const AutocastGuard&) = delete;
  AutocastGuard& operator=(const AutocastGuard&) = delete;

 private:
  AutocastState before_;
};

/// Default generators with their states.
using RandomState = std::vector<std::pair<at::Generator, at::Tensor>>;

RandomState random_state(c10::Device device) {
  RandomState state;
  const auto add = [&](at::Generator generator) {
    const std::lock_guard lock(generator.mutex());
    state.emplace_back(generator, generator.get_state());
  };
  add(at::globalContext().defaultGenerator(c10::kCPU));
  if (!device.is_cpu()) add(at::globalContext().defaultGenerator(device));
  return state;
}

void set_random_state(const RandomState& state) {
  for (auto [generator, tensor] : state) {
    const std::lock_guard lock(generator.mutex());
    generator.set_state(tensor);
  }
}

/// Puts the generators into `state` until its end; an empty one leaves them alone.
class RandomGuard {
 public:
  RandomGuard(const RandomState& state, c10::Device device)
      : before_(state.empty() ? RandomState() : random_state(device)) {
    set_random_state(state);
  }
  ~RandomGuard() { set_random_state(before_); }
  RandomGuard(const RandomGuard&) = delete;
  RandomGuard& operator=(const RandomGuard&) = delete;

 private:
  RandomState before_;
};

/// Hides the running statistics of batch norms in training mode until its end. Without them the norm computes the same
/// (its own batch's statistics), and has nothing to update.
class RunningStatisticsGuard {
 public:
  explicit RunningStatisticsGuard(const Modules& modules) {
    for (const auto& module : modules) {
      for (const auto& part : module->modules()) {
        auto norm = std::dynamic_pointer_cast<torch::nn::BatchNorm2dImpl>(part);
        if (norm && norm->is_training()) hide(std::move(norm));
      }
    }
  }
  ~RunningStatisticsGuard() {
    for (auto& [norm, mean, var, batches] : hidden_) {
      norm->running_mean = mean;
      norm->running_var = var;
      norm->num_batches_tracked = batches;
    }
  }
  RunningStatisticsGuard(const RunningStatisticsGuard&) = delete;
  RunningStatisticsGuard& operator=(const RunningStatisticsGuard&) = delete;

 private:
  struct Hidden {
    std::shared_ptr<torch::nn::BatchNorm2dImpl> norm;
    at::Tensor mean, var, batches;
  };
  void hide(std::shared_ptr<torch::nn::BatchNorm2dImpl> norm) {
    auto& [owner, mean, var, batches] = hidden_.emplace_back();
    mean = std::exchange(norm->running_mean, {});
    var = std::exchange(norm->running_var, {});
    batches = std::exchange(norm->num_batches_tracked, {});
    owner = std::move(norm);
  }

  std::vector<Hidden> hidden_;
};

/// All that the second run needs beside x.
struct Recomputation : torch::CustomClassHolder {
  Recomputation(CheckpointedCall the_call, c10::Device device)
      : call(std::move(the_call)), autocast(AutocastState::current()) {
    autocast.cache = false;  // casts of weights would outlive the backward pass, and serve after the optimizer's step
    if (call.preserve_random_state) random = random_state(device);
  }

  at::Tensor run(const at::Tensor& x) const {
    const AutocastGuard autocast_guard(autocast);
    const RandomGuard random_guard(random, x.device());
    const RunningStatisticsGuard statistics_guard(call.modules);
    const at::AutoGradMode grad_mode(true);
    return call.function(x);
  }

  CheckpointedCall call;
  AutocastState autocast;
  RandomState random;
};

class Checkpoint : public torch::autograd::Function<Checkpoint> {
 public:
  /// `anchor` needs a gradient: the result does so too, where x (an image) does not.
  static at::Tensor forward(AutogradContext* context, const at::Tensor& x, const at::Tensor& /*anchor*/,
                            const c10::intrusive_ptr<Recomputation>& recomputation) {
    context->saved_data["recomputation"] = c10::IValue::make_capsule(recomputation);
    context->save_for_backward({x});
    const AutocastGuard autocast_guard(recomputation->autocast);
    return recomputation->call.function(x);
  }

  static variable_list backward(AutogradContext* context, const variable_list& gradients) {
    const auto recomputation =
        c10::static_intrusive_pointer_cast<Recomputation>(context->saved_data["recomputation"].toCapsule());
    const auto saved = context->get_saved_variables()[0];
    const auto x = saved.detach().set_requires_grad(saved.requires_grad());
    torch::autograd::backward({recomputation->run(x)}, {gradients[0]});
    return {x.grad(), {}, {}};
  }
};

bool needs_gradient(const Modules& modules, const at::Tensor& x) {
  if (!at::GradMode::is_enabled()) return false;
  if (x.requires_grad()) return true;
  for (const auto& module : modules) {
    for (const auto& parameter : module->parameters()) {
      if (parameter.requires_grad()) return true;
    }
  }
  return false;
}

void refuse_masked_norms(const Modules& modules) {
  for (const auto& module : modules) {
    for (const auto& part : module->modules()) {
      TORCH_CHECK(part->as<NormImpl>() == nullptr, "checkpoint: doesn't know how to keep an nn::Norm's statistics");
    }
  }
}

}  // namespace

at::Tensor checkpoint(CheckpointedCall call, const at::Tensor& x) {
  if (!needs_gradient(call.modules, x)) return call.function(x);
  refuse_masked_norms(call.modules);
  const auto anchor = at::empty({0}, x.options()).requires_grad_();
  return Checkpoint::apply(x, anchor, c10::make_intrusive<Recomputation>(std::move(call), x.device()));
}

}  // namespace codmoe::nn
