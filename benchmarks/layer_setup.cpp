#include "benchmarks/layer_setup.h"

#include <ATen/ATen.h>

#include "codmoe/core/seed.h"

namespace codmoe::bench {

namespace {

moe::SparseCODMoE make_layer(const LayerOptions& options) {
  core::seed_all(static_cast<uint64_t>(options.seed));
  moe::SparseCODMoE layer(options.dim, options.moe);
  randomize_norms(*layer);
  return layer;
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
  images_ = draw_images(options, precision, device);
}

at::Tensor LayerSetup::images(int64_t batch) const { return images_.narrow(0, 0, batch).clone(format_); }

}  // namespace codmoe::bench
