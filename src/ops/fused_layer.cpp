#ifdef CODMOE_CUDA
#include "fused_layer.h"

#include <cmath>

#include "cuda_call.h"

namespace codmoe::ops {

namespace {

at::Tensor as_floats(const at::Tensor& values) {
  return values.defined() ? values.detach().to(at::kFloat).contiguous() : values;
}

}  // namespace

at::Tensor widen_images(const at::Tensor& x_bchw, const FusedWidths& widths) {
  return widths.added() == 0 ? x_bchw : at::constant_pad_nd(x_bchw, {0, 0, 0, 0, 0, widths.added()});
}

FusedRouter widen_router(const FusedRouter& router, const FusedWidths& widths) {
  auto widened = router;
  if (widths.added() > 0) widened.weight = at::constant_pad_nd(router.weight, {0, widths.added()});
  return widened;
}

at::Tensor narrow_result(const at::Tensor& y_bchw, const FusedWidths& widths) {
  if (widths.added() == 0) return y_bchw;
  return y_bchw.narrow(1, 0, widths.given()).contiguous(at::MemoryFormat::ChannelsLast);
}

cuda::Shape fused_shape(const at::Tensor& x_bchw, const FusedWidths& widths, int64_t experts, int64_t top_k) {
  cuda::Shape shape;
  shape.batch = static_cast<int>(x_bchw.size(0));
  shape.channels = static_cast<int>(x_bchw.size(1));
  shape.height = static_cast<int>(x_bchw.size(2));
  shape.width = static_cast<int>(x_bchw.size(3));
  shape.experts = static_cast<int>(experts);
  shape.top_k = static_cast<int>(top_k);
  shape.positions = shape.height * shape.width;
  shape.slots = shape.batch * shape.top_k;
  shape.root = 1.0F / std::sqrt(static_cast<float>(widths.given()) / cuda::kHeads);
  return shape;
}

cuda::Math fused_math(const at::Tensor& x_bchw) {
  if (x_bchw.scalar_type() == at::kBFloat16) return cuda::Math::bfloat16;
  return at::globalContext().allowTF32CuDNN() ? cuda::Math::tf32 : cuda::Math::float32;
}

void check_router(const at::Tensor& x_bchw, const FusedRouter& router, std::size_t experts) {
  const auto count = static_cast<int64_t>(experts);
  TORCH_CHECK(router.weight.sizes() == at::IntArrayRef({count, x_bchw.size(1)}), "the router's weight must be [", count,
              ", ", x_bchw.size(1), "], not ", router.weight.sizes());
  TORCH_CHECK(router.weight.device() == x_bchw.device(), "the layer is on ", router.weight.device(), ", its input on ",
              x_bchw.device());
  TORCH_CHECK(router.top_k >= 1 && router.top_k <= count, "top_k must be in [1, ", count, "], not ", router.top_k);
}

FusedChoice::FusedChoice(const at::Tensor& x_bchw, int64_t experts, int64_t top_k) {
  const auto floats = x_bchw.options().memory_format(std::nullopt).dtype(at::kFloat).requires_grad(false);
  const auto batch = x_bchw.size(0);
  logits_be = at::empty({batch, experts}, floats);
  probs_be = at::empty({batch, experts}, floats);
  indices_bk = at::empty({batch, top_k}, floats.dtype(at::kLong));
  weights_bk = at::empty({batch, top_k}, floats);
  mean_bc = at::empty({batch, x_bchw.size(1)}, floats);
}

cuda::Choice FusedChoice::pointers() const {
  return {logits_be.data_ptr<float>(), probs_be.data_ptr<float>(), indices_bk.data_ptr<int64_t>(),
          weights_bk.data_ptr<float>(), mean_bc.data_ptr<float>()};
}

FusedGate::FusedGate(const FusedRouter& from)
    : weight(as_floats(from.weight)), bias(as_floats(from.bias)), selection_bias(as_floats(from.selection_bias)) {
  router.weight = weight.const_data_ptr<float>();
  router.bias = bias.const_data_ptr<float>();
  router.selection_bias = selection_bias.defined() ? selection_bias.const_data_ptr<float>() : nullptr;
  router.logit_limit = static_cast<float>(from.logit_limit);
  router.temperature = static_cast<float>(from.temperature);
}

}  // namespace codmoe::ops
#endif  // CODMOE_CUDA
