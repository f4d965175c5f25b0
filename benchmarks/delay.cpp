#include "benchmarks/delay.h"

#include <c10/util/Exception.h>

#ifdef CODMOE_CUDA
#include <ATen/cuda/Sleep.h>
#include <c10/cuda/CUDAException.h>
#include <c10/cuda/CUDAGuard.h>
#include <cuda_runtime_api.h>
#endif

namespace codmoe::bench {

#ifdef CODMOE_CUDA

bool can_delay(const c10::Device& device) { return device.is_cuda(); }

void delay(const c10::Device& device, double ms) {
  const c10::cuda::CUDAGuard guard(device);
  int kilohertz = 0;
  C10_CUDA_CHECK(cudaDeviceGetAttribute(&kilohertz, cudaDevAttrClockRate, device.index()));
  at::cuda::sleep(static_cast<int64_t>(ms * kilohertz));
}

#else

bool can_delay(const c10::Device&) { return false; }

void delay(const c10::Device& device, double) { TORCH_CHECK(false, "this build cannot delay ", device); }

#endif

}  // namespace codmoe::bench
