// Initialisation of convolutional networks trained from scratch.
#pragma once

#include <torch/nn/module.h>

namespace codmoe::nn {

/// Every Conv2d below `module` (which may be under construction): weights from N(0, 2 / fan_out), where fan_out =
/// kernel area x output channels / groups (He et al. 2015; timm's and TensorFlow's rule for EfficientNet), biases 0.
/// Every BatchNorm2d: weight 1, bias 0.
void init_fan_out(torch::nn::Module& module);

}  // namespace codmoe::nn
