#include "codmoe/ops/batch_norm_act.h"

#include <ATen/ATen.h>
#include <ATen/core/grad_mode.h>

#include <limits>

#include "codmoe/dist/all_sum.h"
#include "codmoe/dist/shared_statistics.h"
#include "sync_batch_norm.h"

#ifdef CODMOE_CUDA
#include <ATen/cuda/CUDAContext.h>
#include <c10/cuda/CUDAException.h>
#include <c10/cuda/CUDAGuard.h>
#include <torch/csrc/autograd/custom_function.h>

#include "cuda/batch_norm.h"
#include "cuda_call.h"
#endif

namespace codmoe::ops {

namespace {

at::Tensor per_channel(const at::Tensor& value_c) { return value_c.view({1, -1, 1, 1}); }

/// running += rate * (value - running).
void update_running(at::Tensor running_c, const at::Tensor& value_c, const at::Tensor& rate) {
  if (!running_c.defined()) return;
  running_c.add_(rate.to(running_c.scalar_type()) * (value_c.detach().to(running_c.scalar_type()) - running_c));
}

/// The sum of every rank's, where statistics are those of all ranks.
at::Tensor over_ranks(const at::Tensor& sum) {
  auto* group = dist::SharedStatistics::of_norms();
  return group != nullptr ? dist::all_sum(sum, *group) : sum;
}

at::Tensor masked(const at::Tensor& x_bchw, const at::Tensor& mask_b, const BatchNormState& state) {
  const auto wide = at::promote_types(x_bchw.scalar_type(), at::kFloat);
  const auto x = x_bchw.to(wide);
  const auto mask = mask_b.to(wide).view({-1, 1, 1, 1});
  const auto own_count = mask.sum() * static_cast<double>(x.size(2) * x.size(3));
  const auto sums = over_ranks(at::cat({(x * mask).sum({0, 2, 3}), own_count.view({1})}));
  const auto count = sums[x.size(1)].detach();
  const auto enough = (count > 1).to(wide);
  const auto divisor = count.clamp_min(1);

  const auto mean_c = sums.narrow(0, 0, x.size(1)) / divisor;
  const auto centred = x - per_channel(mean_c);
  const auto var_c = over_ranks((centred.square() * mask).sum({0, 2, 3})) / divisor;
  {
    const at::NoGradGuard no_grad;
    const auto rate = enough * state.momentum;
    update_running(state.running_mean, mean_c, rate);
    update_running(state.running_var, var_c * count / (count - 1).clamp_min(1), rate);
    if (state.batches.defined()) at::Tensor(state.batches).add_(count > 1);
  }
  const auto scale_c = state.weight.to(wide) * (var_c + state.eps).rsqrt() * enough;
  return (centred * per_channel(scale_c) + per_channel(state.bias.to(wide))).to(x_bchw.scalar_type());
}

/// LibTorch 2.11's batch norm on the CPU takes an input and a gradient for the same memory format where both suggest
/// the same one. Of a single image or row, strides can be those of NHWC and yet suggest NCHW: then its backward reads
/// one of them in the wrong order. (batch_norm_backward_cpu_template in ATen/native/Normalization.cpp.)
at::Tensor as_suggested(const at::Tensor& x_bchw) { return x_bchw.contiguous(x_bchw.suggest_memory_format()); }

at::Tensor whole(const at::Tensor& x_bchw, const BatchNormState& state, bool training) {
  const auto y_bchw =
      at::batch_norm(x_bchw.is_cpu() ? as_suggested(x_bchw) : x_bchw, state.weight, state.bias, state.running_mean,
                     state.running_var, training, state.momentum, state.eps, /*cudnn_enabled=*/true);
  if (y_bchw.is_cpu() && y_bchw.requires_grad()) y_bchw.register_hook(as_suggested);
  return y_bchw;
}

at::Tensor plain(const at::Tensor& x_bchw, const std::optional<at::Tensor>& mask_b, const BatchNormState& state) {
  if (mask_b) return masked(x_bchw, *mask_b, state);
  auto* group = dist::SharedStatistics::of_norms();
  if (group != nullptr && x_bchw.is_cuda()) return sync_batch_norm(x_bchw, state, *group);
  const bool single_value = x_bchw.numel() <= x_bchw.size(1);
  if (single_value || group != nullptr)
    return masked(x_bchw, at::ones({x_bchw.size(0)}, x_bchw.options().dtype(at::kBool)), state);
  if (state.batches.defined()) at::Tensor(state.batches).add_(1);
  return whole(x_bchw, state, /*training=*/true);
}

#ifdef CODMOE_CUDA

class BatchNormAct : public torch::autograd::Function<BatchNormAct> {
 public:
  static at::Tensor forward(torch::autograd::AutogradContext* context, const at::Tensor& x_bchw,
                            const std::optional<at::Tensor>& mask_b, const at::Tensor& weight_c,
                            const at::Tensor& bias_c, const BatchNormState& state, Activation activation) {
    const c10::cuda::CUDAGuard guard(x_bchw.device());
    const auto norm = describe(x_bchw, mask_b, weight_c, bias_c, activation);
    const auto y_bchw = at::empty_like(x_bchw);
    const auto options = x_bchw.options().dtype(at::kFloat).memory_format(at::MemoryFormat::Contiguous);
    const auto table = at::empty({cuda::kNormRows, norm.channels}, options);
    const auto partial = at::empty({cuda::batch_norm_parts(norm), 2, norm.channels}, options);
    C10_CUDA_CHECK(cuda::batch_norm_forward(norm, describe(state), partial.mutable_data_ptr<float>(),
                                            table.mutable_data_ptr<float>(), y_bchw.mutable_data_ptr(),
                                            at::cuda::getCurrentCUDAStream().stream()));
    context->save_for_backward({x_bchw, weight_c, bias_c, table, mask_b.value_or(at::Tensor())});
    context->saved_data["activation"] = static_cast<int64_t>(activation);
    return y_bchw;
  }

  static torch::autograd::variable_list backward(torch::autograd::AutogradContext* context,
                                                 const torch::autograd::variable_list& gradients) {
    refuse_second_derivative("batch_norm_act");
    const auto saved = context->get_saved_variables();
    const auto &x_bchw = saved[0], &table = saved[3];
    const c10::cuda::CUDAGuard guard(x_bchw.device());
    const auto norm = describe(x_bchw, saved[4].defined() ? std::optional(saved[4]) : std::nullopt, saved[1], saved[2],
                               static_cast<Activation>(context->saved_data["activation"].toInt()));
    const auto grad_y = gradients[0].to(x_bchw.scalar_type()).contiguous(at::MemoryFormat::ChannelsLast);
    const auto grad_x = at::empty_like(x_bchw);
    const auto partial = at::empty({cuda::batch_norm_parts(norm), 2, norm.channels}, table.options());
    const auto grad_parameters = at::empty({2, norm.channels}, table.options()),
               factors = at::empty_like(grad_parameters);
    C10_CUDA_CHECK(cuda::batch_norm_backward(norm, table.const_data_ptr<float>(),
                                             {.grad_y = grad_y.const_data_ptr(),
                                              .grad_x = grad_x.mutable_data_ptr(),
                                              .grad_parameters = grad_parameters.mutable_data_ptr<float>(),
                                              .factors = factors.mutable_data_ptr<float>()},
                                             partial.mutable_data_ptr<float>(),
                                             at::cuda::getCurrentCUDAStream().stream()));
    return {grad_x, {}, grad_parameters[0], grad_parameters[1], {}, {}};
  }

 private:
  static cuda::BatchNorm describe(const at::Tensor& x_bchw, const std::optional<at::Tensor>& mask_b,
                                  const at::Tensor& weight_c, const at::Tensor& bias_c, Activation activation) {
    return {.samples = x_bchw.size(0),
            .area = x_bchw.size(2) * x_bchw.size(3),
            .channels = x_bchw.size(1),
            .bfloat16 = is_bfloat16(x_bchw),
            .activation = kernel_activation(activation),
            .x = x_bchw.const_data_ptr(),
            .mask = mask_b ? mask_b->const_data_ptr<bool>() : nullptr,
            .weight = weight_c.const_data_ptr<float>(),
            .bias = bias_c.const_data_ptr<float>()};
  }

  static cuda::RunningStatistics describe(const BatchNormState& state) {
    const auto data = [](const at::Tensor& x) { return x.defined() ? x.mutable_data_ptr<float>() : nullptr; };
    return {.mean = data(state.running_mean),
            .var = data(state.running_var),
            .batches = state.batches.defined() ? state.batches.mutable_data_ptr<int64_t>() : nullptr,
            .eps = static_cast<float>(state.eps),
            .momentum = static_cast<float>(state.momentum)};
  }

  static cuda::NormActivation kernel_activation(Activation activation) {
    switch (activation) {
      case Activation::none:
        return cuda::NormActivation::none;
      case Activation::relu:
        return cuda::NormActivation::relu;
      case Activation::relu6:
        return cuda::NormActivation::relu6;
      case Activation::gelu:
        return cuda::NormActivation::gelu;
    }
    TORCH_CHECK(false, "unknown activation");
  }
};

bool is_float_on(const at::Tensor& x, const c10::Device& device) {
  return !x.defined() || (x.device() == device && x.scalar_type() == at::kFloat && x.is_contiguous());
}

/// Rows are counted in 32 bits.
bool takes_kernel(const at::Tensor& x_bchw, const BatchNormState& state) {
  const auto device = x_bchw.device();
  return x_bchw.is_cuda() && is_kernel_type(x_bchw.scalar_type()) && x_bchw.size(1) % 4 == 0 && x_bchw.numel() > 0 &&
         x_bchw.numel() / x_bchw.size(1) <= std::numeric_limits<int32_t>::max() &&
         x_bchw.is_contiguous(at::MemoryFormat::ChannelsLast) && is_float_on(state.weight, device) &&
         is_float_on(state.bias, device) && is_float_on(state.running_mean, device) &&
         is_float_on(state.running_var, device);
}

#endif

}  // namespace

at::Tensor activate_(at::Tensor x, Activation activation) {
  switch (activation) {
    case Activation::none:
      return x;
    case Activation::relu:
      return at::relu_(x);
    case Activation::relu6:
      return at::relu6_(x);
    case Activation::gelu:
      return at::gelu(x);
  }
  TORCH_CHECK(false, "unknown activation");
}

at::Tensor batch_norm(const at::Tensor& x_bchw, const BatchNormState& state) {
  return whole(x_bchw, state, /*training=*/false);
}

at::Tensor batch_norm_act(const at::Tensor& x_bchw, const std::optional<at::Tensor>& mask_b,
                          const BatchNormState& state, Activation activation) {
  TORCH_CHECK(x_bchw.dim() == 4, "batch_norm_act: x must be [B, C, H, W], not ", x_bchw.sizes());
  TORCH_CHECK(
      !mask_b || (mask_b->dim() == 1 && mask_b->size(0) == x_bchw.size(0) && mask_b->scalar_type() == at::kBool),
      "batch_norm_act: mask must be bool [B], not ", mask_b ? mask_b->scalar_type() : at::kBool, " of ",
      mask_b ? mask_b->sizes() : at::IntArrayRef());
  TORCH_CHECK(!mask_b || mask_b->device() == x_bchw.device(), "batch_norm_act: the mask must be on ", x_bchw.device());
#ifdef CODMOE_CUDA
  if (takes_kernel(x_bchw, state) && dist::SharedStatistics::of_norms() == nullptr) {
    return BatchNormAct::apply(x_bchw, mask_b ? std::optional(mask_b->contiguous()) : std::nullopt, state.weight,
                               state.bias, state, activation);
  }
#endif
  return activate_(plain(x_bchw, mask_b, state), activation);
}

}  // namespace codmoe::ops
