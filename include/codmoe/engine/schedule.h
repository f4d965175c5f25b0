// What of a step depends on how far the run is.
#pragma once

#include <array>

#include "codmoe/engine/schedule_options.h"

namespace codmoe::engine {

/// Parts of a model that may have learning-rate curves of their own, by ParameterGroup::part.
inline constexpr std::array<const char*, 2> model_parts{"model", "backbone"};

/// Optimizer steps of an epoch, `accumulate` batches each; the last may have fewer.
constexpr int64_t steps_per_epoch(int64_t batches, int64_t accumulate) {
  return (batches + accumulate - 1) / accumulate;
}

/// Where a step stands in its run.
struct StepValues {
  int64_t step = 0;                                   ///< steps done before it
  int64_t epoch = 0;                                  ///< epochs done
  double progress = 0.0;                              ///< part of the run's steps that is done
  std::array<double, model_parts.size()> lr{1., 1.};  ///< factors on the learning rate, by part
};

/// Factor on the learning rate at `step` (0-based) of `total`: linear over the first `warmup_steps`, reaching 1 at the
/// last of them, then the curve. It reaches `final_lr` at the last step; poly would in the step behind it, as PyTorch's
/// PolynomialLR. Milestones count from the run's begin, restarts from the warmup's end.
/// @param steps_per_epoch  what the curve's epochs are
double lr_factor(const CurveOptions& curve, double final_lr, int64_t step, int64_t warmup_steps, int64_t total,
                 int64_t steps_per_epoch);

class Schedule {
 public:
  Schedule(ScheduleOptions options, int64_t steps_per_epoch);
  /// `step` is 0-based.
  StepValues at(int64_t step) const;

 private:
  ScheduleOptions options_;
  int64_t steps_per_epoch_;
};

}  // namespace codmoe::engine
