// A bias a channel, with a gradient that costs one read of the map's.
#pragma once

#include <ATen/core/Tensor.h>

namespace codmoe::ops {

/// y + bias [C] in y's dtype, for y [B, C, H, W]. In channels last on CUDA the bias's gradient is summed in float32,
/// the same on every run. @throws c10::Error for another rank or number of channels; on CUDA for a second derivative.
at::Tensor add_bias(const at::Tensor& y_bchw, const at::Tensor& bias_c);

}  // namespace codmoe::ops
