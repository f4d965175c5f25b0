// LibTorch's batch norm and the activation after it, as backbones have them.
#pragma once

#include <torch/nn/modules/batchnorm.h>

#include "codmoe/ops/batch_norm_act.h"

namespace codmoe::nn {

/// activation(norm(x)) of x [B, C, H, W], by ops::batch_norm_act() in training.
at::Tensor batch_norm_act(torch::nn::BatchNorm2dImpl& norm, const at::Tensor& x_bchw,
                          ops::Activation activation = ops::Activation::none);

}  // namespace codmoe::nn
