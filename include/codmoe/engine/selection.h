// Which validation was the best, and when a run gives up waiting for a better one.
#pragma once

#include <map>
#include <string>

#include "codmoe/engine/checkpoint.h"

namespace codmoe::engine {

/// What a validation brought, by the names of metrics::columns().
using Scores = std::map<std::string, double>;

/// What the best validation is chosen by: "IoU", "IoU at network resolution".
std::string best_metric(const EngineOptions& options);

/// Takes in the validation after `progress.step`: whether it is better than the best before by `options.best`, in the
/// direction that the registry of metrics says. A score that is undefined is never better. Another best_metric() than
/// that of the best before begins anew. @throws std::out_of_range where `scores` lacks it
bool note_validation(Progress& progress, const Scores& scores, const EngineOptions& options);

/// There is no best checkpoint any more, in this folder at least.
void forget_best(Progress& progress);

/// Whether the last `options.patience` validations brought nothing better.
bool out_of_patience(const Progress& progress, const EngineOptions& options);

}  // namespace codmoe::engine
