// The learning rate over a run.
#pragma once

#include "codmoe/engine/options.h"

namespace codmoe::engine {

/// Factor on the learning rate at `step` (0-based) of `total` optimizer steps: linear warmup over the first
/// `warmup_steps`, reaching 1 at its end, then a cosine down to `final_lr` at the last step.
/// Source: SGDR (Loshchilov and Hutter 2017) without restarts.
double lr_factor(int64_t step, int64_t warmup_steps, int64_t total, double final_lr);

}  // namespace codmoe::engine
