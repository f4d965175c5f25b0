// Random streams and determinism.
#pragma once

#include <cstdint>

namespace codmoe::core {

/// A seed for the stream (a, b) of a run: SplitMix64's finaliser over the three numbers, so neighbouring indices give
/// unrelated streams (Steele et al., "Fast splittable pseudorandom number generators", 2014).
uint64_t mix_seed(uint64_t seed, uint64_t a, uint64_t b = 0);

/// Seeds LibTorch's generators on the CPU and on every CUDA device.
void seed_all(uint64_t seed);

/// Makes LibTorch replace operations whose result depends on scheduling; one without a replacement then throws
/// c10::Error where it is called. Call it before the first operation on a GPU: cuBLAS reads its setting once.
void set_deterministic(bool on);

}  // namespace codmoe::core
