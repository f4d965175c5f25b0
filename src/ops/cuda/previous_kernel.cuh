// The device's side of launch_after: kernels that overlap the end of the one before them.
#pragma once

namespace codmoe::ops::cuda {

/// Lets a kernel launched with launch_after start while this one runs.
__device__ inline void allow_next_kernel() {
#if __CUDA_ARCH__ >= 900
  asm volatile("griddepcontrol.launch_dependents;" ::: "memory");
#endif
}

/// Waits for the kernel before this one where both overlap (programmatic dependent launch, compute capability 9.0),
/// then lets the next one start. What earlier kernels wrote may be read before.
__device__ inline void wait_for_previous_kernel() {
#if __CUDA_ARCH__ >= 900
  asm volatile("griddepcontrol.wait;" ::: "memory");
#endif
  allow_next_kernel();
}

}  // namespace codmoe::ops::cuda
