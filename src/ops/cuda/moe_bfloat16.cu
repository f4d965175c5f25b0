#include "moe_kernels.cuh"

namespace codmoe::ops::cuda {

cudaError_t launch_bfloat16(const Layer& layer, const Plan& plan, cudaStream_t stream) {
  return launch_math<Math::bfloat16>(layer, plan, stream);
}

}  // namespace codmoe::ops::cuda
