#include "codmoe/ops/layer_norm.h"

#include <ATen/ATen.h>

#include <optional>

#ifdef CODMOE_CUDA
#include <ATen/cuda/CUDAContext.h>
#include <c10/cuda/CUDAException.h>
#include <c10/cuda/CUDAGuard.h>
#include <torch/csrc/autograd/custom_function.h>

#include "cuda/layer_norm.h"
#include "cuda_call.h"
#endif

namespace codmoe::ops {

namespace {

NormedSum plain(const at::Tensor& x, const at::Tensor& branch, const LayerNormState& state, at::ScalarType type) {
  const auto sum = branch.defined() ? (x + branch).to(x.scalar_type()) : x;
  const auto wide = at::promote_types(x.scalar_type(), state.weight.scalar_type());
  const auto normed = at::layer_norm(sum.to(wide), {x.size(-1)}, state.weight.to(wide), state.bias.to(wide), state.eps);
  return {.sum = sum, .normed = normed.to(type)};
}

#ifdef CODMOE_CUDA

constexpr int64_t max_channels = 1024;

cuda::LayerNorm describe(const at::Tensor& x, bool branch_bfloat16, bool normed_bfloat16, const at::Tensor& weight,
                         const at::Tensor& bias, double eps) {
  return {.rows = x.numel() / x.size(-1),
          .channels = x.size(-1),
          .x_bfloat16 = is_bfloat16(x),
          .branch_bfloat16 = branch_bfloat16,
          .normed_bfloat16 = normed_bfloat16,
          .weight = weight.const_data_ptr<float>(),
          .bias = bias.const_data_ptr<float>(),
          .eps = static_cast<float>(eps)};
}

/// Gives sum and normed; where there is no branch, normed alone.
class AddLayerNorm : public torch::autograd::Function<AddLayerNorm> {
 public:
  static torch::autograd::variable_list forward(torch::autograd::AutogradContext* context, const at::Tensor& x,
                                                const std::optional<at::Tensor>& branch, const at::Tensor& weight,
                                                const at::Tensor& bias, double eps, at::ScalarType type) {
    const c10::cuda::CUDAGuard guard(x.device());
    const bool has_branch = branch.has_value();
    const auto sum = has_branch ? at::empty_like(x) : x;
    const auto normed = at::empty(x.sizes(), x.options().dtype(type));
    const auto statistics = at::empty({x.numel() / x.size(-1), 2}, x.options().dtype(at::kFloat));
    const auto norm = describe(x, has_branch && is_bfloat16(*branch), type == at::kBFloat16, weight, bias, eps);
    C10_CUDA_CHECK(cuda::layer_norm_forward(norm,
                                            {.x = x.const_data_ptr(),
                                             .branch = has_branch ? branch->const_data_ptr() : nullptr,
                                             .sum = has_branch ? sum.mutable_data_ptr() : nullptr,
                                             .normed = normed.mutable_data_ptr(),
                                             .statistics = statistics.mutable_data_ptr<float>()},
                                            at::cuda::getCurrentCUDAStream().stream()));
    context->save_for_backward({sum, statistics, weight, bias});
    context->saved_data["eps"] = eps;
    context->saved_data["branch"] = has_branch ? std::optional(branch->scalar_type()) : std::nullopt;
    context->set_materialize_grads(false);
    if (!has_branch) return {normed};
    return {sum, normed};
  }

  static torch::autograd::variable_list backward(torch::autograd::AutogradContext* context,
                                                 const torch::autograd::variable_list& gradients) {
    refuse_second_derivative("add_layer_norm");
    const auto saved = context->get_saved_variables();
    const auto &sum = saved[0], &statistics = saved[1], &weight = saved[2], &bias = saved[3];
    const auto branch_type = context->saved_data["branch"].toOptional<at::ScalarType>();
    const at::Tensor grad_sum =
        branch_type && gradients[0].defined() ? gradients[0].to(sum.scalar_type()).contiguous() : at::Tensor();
    if (!gradients.back().defined()) {  // the norm was not used
      return {grad_sum, branch_type && grad_sum.defined() ? grad_sum.to(*branch_type) : at::Tensor(), {}, {}, {}, {}};
    }
    const c10::cuda::CUDAGuard guard(sum.device());
    const auto grad_normed = gradients.back().contiguous();
    const auto norm = describe(sum, branch_type == at::kBFloat16, is_bfloat16(grad_normed), weight, bias,
                               context->saved_data["eps"].toDouble());
    const bool two_types = branch_type && *branch_type != sum.scalar_type();
    const auto grad_x = at::empty_like(sum);
    const auto grad_branch = two_types ? at::empty(sum.sizes(), sum.options().dtype(*branch_type)) : at::Tensor();
    const auto partial = at::empty({cuda::layer_norm_parts(norm), 2, norm.channels}, statistics.options());
    const auto grad_parameters = at::empty({2, norm.channels}, statistics.options());
    C10_CUDA_CHECK(cuda::layer_norm_backward(norm,
                                             {.sum = sum.const_data_ptr(),
                                              .statistics = statistics.const_data_ptr<float>(),
                                              .grad_normed = grad_normed.const_data_ptr(),
                                              .grad_sum = grad_sum.defined() ? grad_sum.const_data_ptr() : nullptr,
                                              .grad_x = grad_x.mutable_data_ptr(),
                                              .grad_branch = two_types ? grad_branch.mutable_data_ptr() : nullptr},
                                             partial.mutable_data_ptr<float>(),
                                             grad_parameters.mutable_data_ptr<float>(),
                                             at::cuda::getCurrentCUDAStream().stream()));
    at::Tensor of_branch;
    if (branch_type) of_branch = two_types ? grad_branch : grad_x;
    return {grad_x, of_branch, grad_parameters[0], grad_parameters[1], {}, {}};
  }
};

bool takes_kernel(const at::Tensor& x, const at::Tensor& branch, at::ScalarType type) {
  const auto fits = [](const at::Tensor& map) { return map.is_cuda() && is_kernel_type(map.scalar_type()); };
  return fits(x) && (!branch.defined() || fits(branch)) && is_kernel_type(type) && x.numel() > 0 &&
         x.size(-1) % 2 == 0 && x.size(-1) <= max_channels;
}

NormedSum fused(const at::Tensor& x, const at::Tensor& branch, const LayerNormState& state, at::ScalarType type) {
  const auto dense_x = x.contiguous();
  const auto results =
      AddLayerNorm::apply(dense_x, branch.defined() ? std::optional(branch.contiguous()) : std::nullopt,
                          state.weight.to(at::kFloat), state.bias.to(at::kFloat), state.eps, type);
  return {.sum = branch.defined() ? results[0] : dense_x, .normed = results.back()};
}

#endif

}  // namespace

NormedSum add_layer_norm(const at::Tensor& x, const at::Tensor& branch, const LayerNormState& state,
                         at::ScalarType type) {
  TORCH_CHECK(x.dim() > 0 && state.weight.dim() == 1 && state.weight.size(0) == x.size(-1) &&
                  state.bias.sizes() == state.weight.sizes(),
              "add_layer_norm: weight and bias must be [C] of x [..., C], not ", state.weight.sizes(), ", ",
              state.bias.sizes(), " of ", x.sizes());
  TORCH_CHECK(state.weight.device() == x.device() && state.bias.device() == x.device() &&
                  (!branch.defined() || branch.device() == x.device()),
              "add_layer_norm: everything must be on ", x.device());
  TORCH_CHECK(!branch.defined() || branch.sizes() == x.sizes(),
              "add_layer_norm: x and branch must have one shape, not ", x.sizes(), " and ",
              branch.defined() ? branch.sizes() : x.sizes());
#ifdef CODMOE_CUDA
  if (takes_kernel(x, branch, type)) return fused(x, branch, state, type);
#endif
  return plain(x, branch, state, type);
}

}  // namespace codmoe::ops
