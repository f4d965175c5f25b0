// Which parts of the backbone learn in an epoch.
#pragma once

#include <cstdint>
#include <vector>

#include "codmoe/engine/optimizer.h"
#include "codmoe/model/detector.h"

namespace codmoe::engine {

/// How many stages of the backbone, from the first, are frozen in `epoch` (0-based): all until freeze_epochs, then,
/// with unfreeze_every, the deepest thaws, and one more each time that so many epochs have passed. Source: Howard and
/// Ruder 2018, arXiv:1801.06146 (gradual unfreezing).
std::size_t frozen_stages(const backbone::BackboneOptions& options, int64_t epoch);

/// "model" has all parameters but the backbone's; "backbone.0" … "backbone.3" those of its stages, at its lr_scale;
/// parts as in model_parts (schedule.h).
std::vector<ParameterGroup> parameter_groups(model::DetectorImpl& model, const backbone::BackboneOptions& options);

/// Freezes what the options say for `epoch`, in the model and in the optimizer of its parameter_groups().
void freeze_for_epoch(model::DetectorImpl& model, Optimizer& optimizer, const backbone::BackboneOptions& options,
                      int64_t epoch);

}  // namespace codmoe::engine
