#include "codmoe/nn/init.h"

#include <ATen/ATen.h>
#include <c10/core/GradMode.h>
#include <torch/nn/modules/batchnorm.h>
#include <torch/nn/modules/conv.h>

#include <cmath>

namespace codmoe::nn {

void init_fan_out(torch::nn::Module& module) {
  const c10::NoGradGuard no_grad;
  for (const auto& part : module.modules(/*include_self=*/false)) {
    if (auto* conv = part->as<torch::nn::Conv2dImpl>()) {
      const auto& weight = conv->weight;  // [out, in / groups, height, width]
      const auto fan_out = weight.size(0) * weight.size(2) * weight.size(3) / conv->options.groups();
      conv->weight.normal_(0.0, std::sqrt(2.0 / static_cast<double>(fan_out)));
      if (conv->bias.defined()) conv->bias.zero_();
    } else if (auto* norm = part->as<torch::nn::BatchNorm2dImpl>()) {
      norm->reset_parameters();
    }
  }
}

}  // namespace codmoe::nn
