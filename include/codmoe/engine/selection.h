// Which validation was the best, and when a run gives up waiting for a better one.
#pragma once

#include "codmoe/engine/checkpoint.h"
#include "codmoe/metrics/scores.h"

namespace codmoe::engine {

/// Takes in the validation after `progress.step`: whether it is better than the best before by `options.best`, in the
/// direction that the registry of metrics says. A score that is undefined is never better. Another metric than that of
/// the best before begins anew.
bool note_validation(Progress& progress, const metrics::Summary& summary, const EngineOptions& options);

/// There is no best checkpoint any more, in this folder at least.
void forget_best(Progress& progress);

/// Whether the last `options.patience` validations brought nothing better.
bool out_of_patience(const Progress& progress, const EngineOptions& options);

}  // namespace codmoe::engine
