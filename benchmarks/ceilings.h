// How fast this device is at best, measured.
#pragma once

#include "benchmarks/precision.h"
#include "benchmarks/routes.h"

namespace codmoe::bench {

struct Ceilings {
  double flops_per_s = 0;  ///< one large matrix product
  double bytes_per_s = 0;  ///< one large copy, bytes read and bytes written
};

/// Matrices of 8192 and copies of 1 GiB on a GPU, 1024 and 128 MiB on the CPU. Call within a PrecisionScope.
Ceilings measure_ceilings(const c10::Device& device, Precision precision);

/// The shortest time in which the device could do `work`: the longer of its arithmetic and its traffic.
double roofline_ms(const Work& work, const Ceilings& ceilings);

}  // namespace codmoe::bench
