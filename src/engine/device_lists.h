// Work on lists of tensors that a scalar on the device can call off.
#pragma once

#include <ATen/core/Tensor.h>

#include <vector>

namespace codmoe::engine {

/// targets += weight * (sources - targets), of one floating dtype; nothing where `left_out` is 1. `weight` and
/// `left_out` are scalars on the device (float32 on CUDA). LibTorch's foreach_lerp takes its weight from the host, or
/// one of each tensor's size, and knows no calling off; a step of plain SGD along the difference does both.
void move_towards(std::vector<at::Tensor>& targets, const std::vector<at::Tensor>& sources, const at::Tensor& weight,
                  const at::Tensor& left_out);

}  // namespace codmoe::engine
