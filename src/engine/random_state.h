// The states of LibTorch's random generators, which a resumed run goes on with.
#pragma once

#include "codmoe/core/safetensors.h"
#include "codmoe/engine/ranks.h"

namespace codmoe::engine {

/// "rng.cpu" and, for a CUDA device, "rng.cuda"; those of rank 2 end in ".2". A collective.
core::TensorMap random_state(c10::Device device, const Ranks& ranks);

/// Takes the states out of `tensors`, and sets this rank's. A rank that has none there begins anew, by `seed`.
void restore_random_state(core::TensorMap& tensors, c10::Device device, const Ranks& ranks, uint64_t seed);

/// Each rank its own numbers, of which rank 0's are those of a process alone.
void seed_rank(const Ranks& ranks, uint64_t seed);

}  // namespace codmoe::engine
