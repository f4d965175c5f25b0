// What augmentation does to single bytes: one source for the CPU and the kernels, so that both agree exactly.
#pragma once

#include <cstdint>

#ifdef __CUDACC__
#define CODMOE_HOST_DEVICE __host__ __device__
#else
#define CODMOE_HOST_DEVICE
#endif

namespace codmoe::ops {

/// A bijection of 32 bits that mixes them all (two rounds of multiply and xor-shift; constants found by Wellons'
/// hash-prospector, 2018).
CODMOE_HOST_DEVICE inline uint32_t mix_bits(uint32_t x) {
  x = (x ^ (x >> 16)) * 0x7feb352dU;
  x = (x ^ (x >> 15)) * 0x846ca68bU;
  return x ^ (x >> 16);
}

/// 32 uniform bits that depend on seed and counter alone, in any order of pixels.
CODMOE_HOST_DEVICE inline uint32_t noise_bits(uint64_t seed, uint32_t counter) {
  return mix_bits(mix_bits(counter + static_cast<uint32_t>(seed)) ^ static_cast<uint32_t>(seed >> 32));
}

/// A mask's value: at least half covered or not where it is binary; then salt and pepper. `pixel` counts row by row.
CODMOE_HOST_DEVICE inline uint8_t finished_mask(uint8_t value, bool binary, uint32_t salt_pepper, uint64_t seed,
                                                uint32_t pixel) {
  if (salt_pepper > 0) {
    const uint32_t bits = noise_bits(seed, pixel);
    if (bits < salt_pepper) return (bits & 1U) != 0 ? 255 : 0;
  }
  if (!binary) return value;
  return value >= 128 ? 255 : 0;
}

/// What fills an erased pixel of a channel (0, 1, 2). Counters of masks end below its own.
CODMOE_HOST_DEVICE inline uint8_t erasing_noise(uint64_t seed, uint32_t pixel, uint32_t channel) {
  return static_cast<uint8_t>(noise_bits(seed, 0x80000000U + 3 * pixel + channel) >> 24);
}

/// `over` covers `under` by level / 255, rounded.
CODMOE_HOST_DEVICE inline uint8_t covered(uint8_t under, uint8_t over, uint8_t level) {
  return static_cast<uint8_t>((over * level + under * (255 - level) + 127) / 255);
}

}  // namespace codmoe::ops
