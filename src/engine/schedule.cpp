#include "codmoe/engine/schedule.h"

#include <algorithm>
#include <cmath>
#include <numbers>

namespace codmoe::engine {

namespace {

/// From `from` at part 0 to `to` at part 1, by half a cosine.
double cosine(double from, double to, double part) {
  return to + (from - to) * 0.5 * (1.0 + std::cos(std::numbers::pi * std::min(part, 1.0)));
}

double ratio(int64_t a, int64_t b) { return static_cast<double>(a) / static_cast<double>(b); }

/// Steps behind the warmup, and how many of them there are.
struct Span {
  int64_t step, steps;
};

double cosine_curve(double final_lr, const Span& span) {
  return span.steps <= 1 ? 1.0 : cosine(1.0, final_lr, ratio(span.step, span.steps - 1));
}

double poly_curve(const CurveOptions& curve, double final_lr, const Span& span) {
  return final_lr + (1.0 - final_lr) * std::pow(1.0 - std::min(1.0, ratio(span.step, span.steps)), curve.power);
}

double step_curve(const CurveOptions& curve, int64_t epoch) {
  const auto passed = std::ranges::count_if(curve.milestones, [&](int64_t milestone) { return milestone <= epoch; });
  return std::pow(curve.gamma, static_cast<double>(passed));
}

/// The phases of torch.optim.lr_scheduler.OneCycleLR.
double one_cycle_curve(const CurveOptions& curve, double final_lr, const Span& run) {
  const double top = curve.rise * static_cast<double>(run.steps) - 1.0, now = static_cast<double>(run.step);
  if (now <= top) return cosine(curve.start_lr, 1.0, top > 0 ? now / top : 1.0);
  return cosine(1.0, final_lr, (now - top) / (static_cast<double>(run.steps - 1) - top));
}

double restarts_curve(const CurveOptions& curve, double final_lr, int64_t step, int64_t steps_per_epoch) {
  auto length = curve.first_epochs * steps_per_epoch;
  while (step >= length) {
    step -= length;
    length *= curve.growth;
  }
  return cosine(1.0, final_lr, ratio(step, length));
}

}  // namespace

double lr_factor(const CurveOptions& curve, double final_lr, int64_t step, int64_t warmup_steps, int64_t total,
                 int64_t steps_per_epoch) {
  if (curve.name == CurveName::one_cycle) return one_cycle_curve(curve, final_lr, {step, total});
  if (step < warmup_steps) return ratio(step + 1, warmup_steps);
  const Span span{step - warmup_steps, total - warmup_steps};
  switch (curve.name) {
    case CurveName::poly:
      return poly_curve(curve, final_lr, span);
    case CurveName::step:
      return step_curve(curve, step / steps_per_epoch);
    case CurveName::restarts:
      return restarts_curve(curve, final_lr, span.step, steps_per_epoch);
    default:
      return cosine_curve(final_lr, span);
  }
}

Schedule::Schedule(ScheduleOptions options, int64_t steps_per_epoch)
    : options_(std::move(options)), steps_per_epoch_(steps_per_epoch) {}

StepValues Schedule::at(int64_t step) const {
  const auto total = options_.epochs * steps_per_epoch_;
  const auto warmup = static_cast<int64_t>(options_.warmup_epochs * static_cast<double>(steps_per_epoch_));
  StepValues values{.step = step, .epoch = step / steps_per_epoch_, .progress = ratio(step, total)};
  for (std::size_t i = 0; i < model_parts.size(); ++i) {
    const auto own = options_.parts.find(model_parts[i]);
    const auto& curve = own == options_.parts.end() ? options_.curve : own->second;
    values.lr[i] = lr_factor(curve, options_.final_lr, step, warmup, total, steps_per_epoch_);
  }
  return values;
}

}  // namespace codmoe::engine
