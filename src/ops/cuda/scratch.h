// Where the kernels' intermediate results lie in the scratch memory.
#pragma once

#include <cstddef>

#include "tiling.h"

namespace codmoe::ops::cuda {

struct Scratch {
  char* base = nullptr;
  std::size_t maps = 0;      ///< elements [slots, kSlotMaps, N, C]
  std::size_t folded = 0;    ///< float [slots, heads, C], attention's queries through its keys
  std::size_t sums = 0;      ///< float [slots, chunks, heads, C], attention's weighted sums
  std::size_t totals = 0;    ///< float [slots, chunks, heads, 2], and their maxima and totals
  std::size_t vectors = 0;   ///< float [slots, C], attention before its projection, or the gate
  std::size_t partials = 0;  ///< float [split blocks, 128, sums a thread]
  std::size_t counters = 0;  ///< int [split blocks], parts that are done; zero between kernels
  std::size_t pooled = 0;    ///< float [B, kPoolSplits, C]
  std::size_t bytes = 0;
};

}  // namespace codmoe::ops::cuda
