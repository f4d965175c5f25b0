// How the channels of a parameter lie where the fused kernels see more of them.
#pragma once

#include <cstdint>
#include <limits>

namespace codmoe::ops::cuda {

/// The largest size of a parameter's dimension, widened: what Parameter has room for.
constexpr int kMaxSize = std::numeric_limits<int16_t>::max();

/// A dimension that lies in groups of `given` values, of which the kernels see each widened to `width`, by zeros.
struct Groups {
  int16_t given = 1, width = 1;
};

}  // namespace codmoe::ops::cuda
