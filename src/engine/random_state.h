// The states of LibTorch's random generators, as tensors.
#pragma once

#include "codmoe/core/safetensors.h"

namespace codmoe::engine {

/// "rng.cpu" and, where a GPU is in use, "rng.cuda".
core::TensorMap random_state();
/// Takes what is there; a state of a device that is absent is left alone.
void restore_random_state(const core::TensorMap& state);

}  // namespace codmoe::engine
