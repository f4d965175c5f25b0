// What a training run would be.
#pragma once

#include "codmoe/engine/options.h"

namespace codmoe::apps {

/// Prints the model's parts, the memory of a step and, where there is a training set, the steps of an epoch.
void dry_run(const engine::TrainOptions& options);

}  // namespace codmoe::apps
