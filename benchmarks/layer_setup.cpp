#include "benchmarks/layer_setup.h"

#include <ATen/ATen.h>

#include <algorithm>

#include "codmoe/core/seed.h"
#include "codmoe/nn/weights.h"

namespace codmoe::bench {

namespace {

/// Norms as after some training: with the initial ones and zeros, a strategy that mixed them up would still agree.
void randomize_norms(torch::nn::Module& module) {
  for (auto& [key, tensor] : nn::state_dict(module)) {
    const std::string_view name = key;
    if (name.ends_with("norm.weight") || name.ends_with("norm.running_var")) tensor.uniform_(0.5, 1.5);
    if (name.ends_with("norm.bias") || name.ends_with("norm.running_mean")) tensor.normal_(0.0, 0.1);
  }
}

moe::SparseCODMoE make_layer(const LayerOptions& options) {
  core::seed_all(static_cast<uint64_t>(options.seed));
  moe::SparseCODMoE layer(options.dim, options.moe);
  randomize_norms(*layer);
  return layer;
}

void require_support(Precision precision, const c10::Device& device) {
  if (precision == Precision::tf32 && !device.is_cuda()) {
    throw core::UsageError("dtype: tf32 needs a CUDA device; allowed here are float32, bfloat16");
  }
}

}  // namespace

LayerSetup::LayerSetup(const LayerOptions& options, Precision precision, const c10::Device& device)
    : scope_((require_support(precision, device), precision)),
      layer_(make_layer(options)),
      format_(memory_format(options.memory_format, precision)) {
  layer_->to(device);
  for (const auto& expert : layer_->pool()) convert(*expert, scalar_type(precision), format_);  // the router: float32
  const auto seed = static_cast<uint64_t>(options.seed);
  for (const auto& gate : draw_gates(options.route_sets, layer_, seed)) gates_.push_back(gate.to(device));
  core::seed_all(core::mix_seed(seed, 1));
  images_ = at::randn({std::ranges::max(options.batch), options.dim, options.height, options.width}, at::kFloat)
                .to(device, scalar_type(precision));
}

at::Tensor LayerSetup::images(int64_t batch) const { return images_.narrow(0, 0, batch).clone(format_); }

}  // namespace codmoe::bench
