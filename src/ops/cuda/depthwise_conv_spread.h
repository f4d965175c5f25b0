// The gradient of a depthwise convolution's input at stride 2.
#pragma once

#include "depthwise_conv.h"

namespace codmoe::ops::cuda {

/// As depthwise_conv_input_gradient().
cudaError_t depthwise_conv_spread(const DepthwiseConv& conv, const void* grad_y, void* grad_x, cudaStream_t stream);

}  // namespace codmoe::ops::cuda
