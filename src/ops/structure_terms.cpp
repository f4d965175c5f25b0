#include "codmoe/ops/structure_terms.h"

#include <ATen/ATen.h>

#ifdef CODMOE_CUDA
#include <ATen/cuda/CUDAContext.h>
#include <c10/cuda/CUDAException.h>
#include <c10/cuda/CUDAGuard.h>
#include <torch/csrc/autograd/custom_function.h>

#include "cuda/structure_terms.h"
#include "cuda_call.h"
#endif

namespace codmoe::ops {

namespace {

at::Tensor sum_of(const at::Tensor& map_b1hw) { return map_b1hw.sum({2, 3}); }

at::Tensor plain(const at::Tensor& logits, const at::Tensor& mask, const at::Tensor& weight, bool weighted_bce) {
  const auto pixel_bce = at::binary_cross_entropy_with_logits(logits, mask, {}, {}, at::Reduction::None);
  const auto bce = weighted_bce ? sum_of(weight * pixel_bce) / sum_of(weight) : pixel_bce.mean();
  const auto probability = logits.sigmoid();
  const auto intersection = sum_of(weight * probability * mask);
  const auto both = sum_of(weight * (probability + mask));
  return (bce + 1 - (intersection + 1) / (both - intersection + 1)).mean();
}

#ifdef CODMOE_CUDA

class StructureTerms : public torch::autograd::Function<StructureTerms> {
 public:
  static at::Tensor forward(torch::autograd::AutogradContext* context, const at::Tensor& logits, const at::Tensor& mask,
                            const at::Tensor& weight, bool weighted_bce) {
    const c10::cuda::CUDAGuard guard(logits.device());
    const auto maps = describe(logits, mask, weight, weighted_bce);
    const auto partial = at::empty({maps.images, cuda::structure_parts(maps), cuda::kStructureSums}, logits.options());
    const auto slopes = at::empty({maps.images, cuda::kStructureSlopes}, logits.options());
    auto loss = at::empty({}, logits.options());
    C10_CUDA_CHECK(cuda::structure_forward(maps, partial.mutable_data_ptr<float>(), slopes.mutable_data_ptr<float>(),
                                           loss.mutable_data_ptr<float>(), at::cuda::getCurrentCUDAStream().stream()));
    context->save_for_backward({logits, mask, weight, slopes});
    context->saved_data["weighted"] = weighted_bce;
    return loss;
  }

  static torch::autograd::variable_list backward(torch::autograd::AutogradContext* context,
                                                 const torch::autograd::variable_list& gradients) {
    refuse_second_derivative("structure_terms");
    const auto saved = context->get_saved_variables();
    const c10::cuda::CUDAGuard guard(saved[0].device());
    const auto maps = describe(saved[0], saved[1], saved[2], context->saved_data["weighted"].toBool());
    const auto grad = gradients[0].contiguous();
    auto grad_logits = at::empty_like(saved[0]);
    C10_CUDA_CHECK(cuda::structure_backward(maps, saved[3].const_data_ptr<float>(), grad.const_data_ptr<float>(),
                                            grad_logits.mutable_data_ptr<float>(),
                                            at::cuda::getCurrentCUDAStream().stream()));
    return {grad_logits, {}, {}, {}};
  }

 private:
  static cuda::StructureMaps describe(const at::Tensor& logits, const at::Tensor& mask, const at::Tensor& weight,
                                      bool weighted_bce) {
    return {.images = logits.size(0),
            .pixels = logits.numel() / logits.size(0),
            .weighted_bce = weighted_bce,
            .logits = logits.const_data_ptr<float>(),
            .mask = mask.const_data_ptr<float>(),
            .weight = weight.const_data_ptr<float>()};
  }
};

#endif

}  // namespace

at::Tensor structure_terms(const at::Tensor& logits_b1hw, const at::Tensor& mask_b1hw, const at::Tensor& weight_b1hw,
                           bool weighted_bce) {
  const auto is_alike = [&](const at::Tensor& map) {
    return map.sizes() == logits_b1hw.sizes() && map.scalar_type() == logits_b1hw.scalar_type() &&
           map.device() == logits_b1hw.device();
  };
  TORCH_CHECK(logits_b1hw.dim() == 4 && logits_b1hw.size(1) == 1 && is_alike(mask_b1hw) && is_alike(weight_b1hw),
              "structure_terms: logits, mask and weight must be [B, 1, H, W] of one dtype and device, not ",
              logits_b1hw.sizes(), ", ", mask_b1hw.sizes(), ", ", weight_b1hw.sizes());
#ifdef CODMOE_CUDA
  if (logits_b1hw.is_cuda() && logits_b1hw.scalar_type() == at::kFloat && logits_b1hw.numel() > 0) {
    return StructureTerms::apply(logits_b1hw.contiguous(), mask_b1hw.detach().contiguous(),
                                 weight_b1hw.detach().contiguous(), weighted_bce);
  }
#endif
  return plain(logits_b1hw, mask_b1hw, weight_b1hw, weighted_bce);
}

}  // namespace codmoe::ops
