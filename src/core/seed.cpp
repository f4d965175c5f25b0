#include "codmoe/core/seed.h"

#include <ATen/Context.h>

#include <cstdlib>

namespace codmoe::core {

namespace {

uint64_t splitmix64(uint64_t value) {
  value += 0x9e3779b97f4a7c15ULL;
  value = (value ^ (value >> 30)) * 0xbf58476d1ce4e5b9ULL;
  value = (value ^ (value >> 27)) * 0x94d049bb133111ebULL;
  return value ^ (value >> 31);
}

}  // namespace

uint64_t mix_seed(uint64_t seed, uint64_t a, uint64_t b) { return splitmix64(splitmix64(splitmix64(seed) ^ a) ^ b); }

void seed_all(uint64_t seed) { at::manual_seed(seed); }

void set_deterministic(bool on) {
  // cuBLAS reads this when its first handle is made: https://docs.nvidia.com/cuda/cublas/#results-reproducibility
  if (on) setenv("CUBLAS_WORKSPACE_CONFIG", ":4096:8", /*overwrite=*/0);
  at::globalContext().setDeterministicAlgorithms(on, /*warn_only=*/false);
  at::globalContext().setDeterministicCuDNN(on);
}

}  // namespace codmoe::core
