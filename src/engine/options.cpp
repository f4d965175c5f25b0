#include "codmoe/engine/options.h"

#include <fmt/format.h>
#include <fmt/ranges.h>

#include <algorithm>

#include "update_rules.h"

namespace codmoe::engine {

void SgdOptions::check() const {
  if (nesterov && momentum == 0) throw core::BadOption("nesterov", "needs a momentum above 0");
}

void OptimizerOptions::check() const {
  const auto names = optimizer_names();
  if (std::ranges::find(names, name) == names.end()) {
    throw core::BadOption("name", fmt::format("must be one of {}; it is '{}'", fmt::join(names, ", "), name));
  }
  if (clip_norm > 0 && clip_value > 0) {
    throw core::BadOption("clip_value", fmt::format("must be 0 where clip_norm is not; that is {}", clip_norm));
  }
}

void CurveOptions::check() const {
  if (name == CurveName::step && milestones.empty()) {
    throw core::BadOption("milestones", "must name at least one epoch for the schedule step");
  }
  if (std::ranges::adjacent_find(milestones, std::greater_equal{}) != milestones.end()) {
    throw core::BadOption("milestones", fmt::format("must rise; they are {}", fmt::join(milestones, ", ")));
  }
}

void ScheduleOptions::check() const {
  curve.check();
  if (warmup_epochs >= static_cast<double>(epochs)) {
    throw core::BadOption("warmup_epochs", fmt::format("must be below epochs ({}); it is {}", epochs, warmup_epochs));
  }
  for (const auto& [part, options] : parts) {
    if (part != "backbone") throw core::BadOption("parts", fmt::format("may name backbone alone, not '{}'", part));
  }
}

void TrainOptions::check() const {
  model.check();
  const auto levels = backbone::Backbone::strides.size();
  const auto given = loss.structure.level_weights.size();
  if (given != 0 && given != levels) {
    throw core::BadOption("loss.level_weights", fmt::format("must be {} numbers, not {}", levels, given));
  }
  if (engine.patience > 0 && data.val.dir.empty()) {
    throw core::BadOption("engine.patience", "needs a validation set: data.val.dir is empty");
  }
}

}  // namespace codmoe::engine
