#include "sync_batch_norm.h"

#include <ATen/ATen.h>
#include <torch/csrc/autograd/custom_function.h>

namespace codmoe::ops {

namespace {

class SyncBatchNorm : public torch::autograd::Function<SyncBatchNorm> {
 public:
  static at::Tensor forward(torch::autograd::AutogradContext* context, const at::Tensor& x, const at::Tensor& weight_c,
                            const at::Tensor& bias_c, const BatchNormState& state, dist::Group* group) {
    const auto x_bchw = x.contiguous(x.suggest_memory_format());
    const int64_t channels = x_bchw.size(1);
    const auto [own_mean, own_inverse] = at::batch_norm_stats(x_bchw, state.eps);
    const auto own_count = at::full({1}, static_cast<double>(x_bchw.numel() / channels), own_mean.options());
    const auto all = group->gather(at::cat({own_mean, own_inverse, own_count}));
    const auto counts_r = all.select(1, 2 * channels).contiguous();
    const auto [mean_c, inverse_c] = at::batch_norm_gather_stats_with_counts(
        x_bchw, all.narrow(1, 0, channels).contiguous(), all.narrow(1, channels, channels).contiguous(),
        state.running_mean, state.running_var, state.momentum, state.eps, counts_r);
    context->save_for_backward({x_bchw, weight_c, mean_c, inverse_c, counts_r.to(at::kInt)});
    context->saved_data["group"] = reinterpret_cast<int64_t>(group);
    return at::batch_norm_elemt(x_bchw, weight_c, bias_c, mean_c, inverse_c, state.eps);
  }

  static torch::autograd::variable_list backward(torch::autograd::AutogradContext* context,
                                                 const torch::autograd::variable_list& gradients) {
    auto* group = reinterpret_cast<dist::Group*>(context->saved_data["group"].toInt());
    const auto saved = context->get_saved_variables();
    const auto &x_bchw = saved[0], &weight_c = saved[1], &mean_c = saved[2], &inverse_c = saved[3];
    const auto grad_y = gradients[0].contiguous(x_bchw.suggest_memory_format());
    // The parameters' gradients stay this rank's: they are summed with all others.
    const auto [sum_c, product_c, grad_weight, grad_bias] =
        at::batch_norm_backward_reduce(grad_y, x_bchw, mean_c, inverse_c, weight_c, true, true, true);
    const auto sums = at::stack({sum_c, product_c});
    group->sum(sums);
    const auto grad_x =
        at::batch_norm_backward_elemt(grad_y, x_bchw, mean_c, inverse_c, weight_c, sums[0], sums[1], saved[4]);
    return {grad_x, grad_weight, grad_bias, {}, {}};
  }
};

}  // namespace

at::Tensor sync_batch_norm(const at::Tensor& x_bchw, const BatchNormState& state, dist::Group& group) {
  if (state.batches.defined()) at::Tensor(state.batches).add_(1);
  return SyncBatchNorm::apply(x_bchw, state.weight, state.bias, state, &group);
}

}  // namespace codmoe::ops
