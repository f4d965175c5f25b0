// The kernels of a depthwise convolution, by what they are compiled for.
#pragma once

#include <cuda_bf16.h>

#include <type_traits>

#include "depthwise_conv.h"

namespace codmoe::ops::cuda {

/// Calls `launch` with a null pointer of the maps' type, the kernel's size and the stride as constants.
template <class T, class Launch>
cudaError_t with_shape(const DepthwiseConv& conv, Launch&& launch) {
  using std::integral_constant;
  T* const type = nullptr;
  if (conv.kernel == 3) {
    return conv.stride == 1 ? launch(type, integral_constant<int, 3>(), integral_constant<int, 1>())
                            : launch(type, integral_constant<int, 3>(), integral_constant<int, 2>());
  }
  return conv.stride == 1 ? launch(type, integral_constant<int, 5>(), integral_constant<int, 1>())
                          : launch(type, integral_constant<int, 5>(), integral_constant<int, 2>());
}

template <class Launch>
cudaError_t with_types(const DepthwiseConv& conv, Launch&& launch) {
  return conv.bfloat16 ? with_shape<__nv_bfloat16>(conv, launch) : with_shape<float>(conv, launch);
}

}  // namespace codmoe::ops::cuda
