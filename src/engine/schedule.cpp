#include "codmoe/engine/schedule.h"

#include <fmt/format.h>

#include <cmath>
#include <numbers>

namespace codmoe::engine {

void ScheduleOptions::check() const {
  if (warmup_epochs >= static_cast<double>(epochs)) {
    throw core::BadOption("warmup_epochs", fmt::format("must be below epochs ({}); it is {}", epochs, warmup_epochs));
  }
}

double lr_factor(int64_t step, int64_t warmup_steps, int64_t total, double final_lr) {
  if (step < warmup_steps) return static_cast<double>(step + 1) / static_cast<double>(warmup_steps);
  if (total - 1 <= warmup_steps) return 1.0;
  const auto progress = static_cast<double>(step - warmup_steps) / static_cast<double>(total - 1 - warmup_steps);
  return final_lr + (1.0 - final_lr) * 0.5 * (1.0 + std::cos(std::numbers::pi * std::min(progress, 1.0)));
}

}  // namespace codmoe::engine
