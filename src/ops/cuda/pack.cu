#include "pack.h"

#include "pack_tile.cuh"

namespace codmoe::ops::cuda {

namespace {

template <class T>
__global__ void __launch_bounds__(kThreads) pack_kernel(const __grid_constant__ PackList list) {
  __shared__ float shared[kPackSide * (kPackSide + 1)];
  const int tile = static_cast<int>(blockIdx.x), i = parameter_of_tile(list.parameters, list.count, tile);
  const Parameter& parameter = list.parameters[i];
  pack_tile<T>(parameter, static_cast<T*>(list.to[i]), static_cast<float*>(list.to[i]), tile - parameter.first_tile,
               shared);
}

}  // namespace

cudaError_t launch_pack(const PackList& list, Math math, cudaStream_t stream) {
  const auto kernel = math == Math::bfloat16 ? pack_kernel<__nv_bfloat16> : pack_kernel<float>;
  kernel<<<static_cast<unsigned>(list.tiles), kThreads, 0, stream>>>(list);
  return cudaGetLastError();
}

}  // namespace codmoe::ops::cuda
