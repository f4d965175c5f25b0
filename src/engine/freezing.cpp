#include "codmoe/engine/freezing.h"

#include <ATen/ATen.h>
#include <fmt/format.h>
#include <spdlog/spdlog.h>

#include <algorithm>
#include <map>

namespace codmoe::engine {

namespace {

constexpr std::size_t stage_count = backbone::Backbone::strides.size();

/// Stage of each of the backbone's parameters.
std::map<const at::TensorImpl*, std::size_t> stage_of_parameters(const backbone::Backbone& backbone) {
  std::map<const at::TensorImpl*, std::size_t> stage_of;
  for (std::size_t i = 0; i < stage_count; ++i) {
    for (const auto& module : backbone.stage_modules(i)) {
      for (const auto& parameter : module->parameters()) stage_of[parameter.unsafeGetTensorImpl()] = i;
    }
  }
  return stage_of;
}

}  // namespace

std::size_t frozen_stages(const backbone::BackboneOptions& options, int64_t epoch) {
  if (epoch < options.freeze_epochs) return stage_count;
  if (options.unfreeze_every == 0) return 0;
  const auto thawed = 1 + (epoch - options.freeze_epochs) / options.unfreeze_every;
  return stage_count - static_cast<std::size_t>(std::min<int64_t>(thawed, stage_count));
}

std::vector<ParameterGroup> parameter_groups(model::DetectorImpl& model, const backbone::BackboneOptions& options) {
  std::vector<ParameterGroup> groups{{.name = "model"}};
  for (std::size_t i = 0; i < stage_count; ++i) {
    groups.push_back({.name = fmt::format("backbone.{}", i), .lr_scale = options.lr_scale, .part = 1});
  }
  const auto stage_of = stage_of_parameters(model.backbone());
  for (const auto& item : model.named_parameters()) {
    const auto stage = stage_of.find(item.value().unsafeGetTensorImpl());
    auto& group = stage == stage_of.end() ? groups.front() : groups[1 + stage->second];
    group.parameters.emplace_back(item.key(), item.value());
  }
  return groups;
}

void freeze_for_epoch(model::DetectorImpl& model, Optimizer& optimizer, const backbone::BackboneOptions& options,
                      int64_t epoch) {
  const auto stages = frozen_stages(options, epoch);
  if (stages != model.backbone().frozen().stages) {
    spdlog::info("epoch {}: {} of the backbone's {} stages are frozen", epoch + 1, stages, stage_count);
  }
  model.backbone().freeze({.stages = stages, .batch_norms = options.frozen_norm});
  optimizer.update_trainable();
}

}  // namespace codmoe::engine
