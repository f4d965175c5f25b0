// A run that begins with the weights of another.
#pragma once

#include "codmoe/engine/options.h"
#include "codmoe/nn/weights.h"

namespace codmoe::engine {

/// Loads what `options` name into `model` and says what matched. @throws core::Error where a key is missing, unexpected
/// or mis-shaped and `partial` is not set, or where nothing matches.
nn::LoadReport warm_start(model::DetectorImpl& model, const InitOptions& options);

}  // namespace codmoe::engine
