// The states of LibTorch's random generators, as tensors.
#pragma once

#include <c10/core/Device.h>

#include "codmoe/core/safetensors.h"

namespace codmoe::engine {

/// "rng.cpu" and, of a CUDA device, "rng.cuda".
core::TensorMap random_state(c10::Device device);
/// Takes what is there; a state of a device that is absent is left alone.
void restore_random_state(const core::TensorMap& state, c10::Device device);

}  // namespace codmoe::engine
