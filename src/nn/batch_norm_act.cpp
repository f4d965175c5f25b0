#include "codmoe/nn/batch_norm_act.h"

namespace codmoe::nn {

at::Tensor batch_norm_act(torch::nn::BatchNorm2dImpl& norm, const at::Tensor& x_bchw, ops::Activation activation) {
  if (!norm.is_training()) return ops::activate_(norm.forward(x_bchw), activation);
  return ops::batch_norm_act(x_bchw, std::nullopt,
                             {norm.weight, norm.bias, norm.running_mean, norm.running_var,
                              norm.num_batches_tracked, norm.options.eps(), *norm.options.momentum()},
                             activation);
}

}  // namespace codmoe::nn
