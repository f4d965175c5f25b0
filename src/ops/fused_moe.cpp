#include "codmoe/ops/fused_moe.h"

#include <ATen/ATen.h>
#include <ATen/core/grad_mode.h>
#include <fmt/format.h>

#ifdef CODMOE_CUDA
#include <ATen/cuda/CUDAContext.h>
#include <c10/cuda/CUDAException.h>
#include <c10/cuda/CUDAGuard.h>

#include <algorithm>
#include <memory>

#include "cuda/moe_launch.h"
#include "cuda_call.h"
#include "fused_layer.h"
#include "fused_operands.h"
#include "fused_widths.h"
#endif

namespace codmoe::ops {

#ifndef CODMOE_CUDA

std::string fused_moe_refusal(const at::Tensor&, const std::vector<FusedExpert>&) { return "this build has no CUDA"; }

FusedResult fused_moe(const at::Tensor&, const FusedRouter&, const std::vector<FusedExpert>&) {
  TORCH_CHECK(false, "fused_moe: this build has no CUDA");
}

#else

namespace {

/// The experts as the kernels read them.
class InferenceDescriber {
 public:
  InferenceDescriber(FusedOperands& operands, const FusedWidths& widths, float root)
      : operands_(operands), widths_(widths), root_(root) {}

  cuda::Expert describe(const FusedExpert& from) {
    cuda::Expert to;
    if (from.attention_heads > 0) {
      add_attention(from, to);
      return to;
    }
    TORCH_CHECK(from.convs.size() <= cuda::kMaxConvs, "fused_moe: at most ", cuda::kMaxConvs,
                " convolutions an expert");
    for (const auto& branch : from.convs)
      to.convs[to.conv_count++] = conv(branch, widths_.groups(branch.weight.size(1)));
    to.stencil = static_cast<cuda::Stencil>(from.stencil);
    if (from.stencil == FusedStencil::depthwise) add_depthwise(from, to);
    if (from.gate_reduce.weight.defined()) add_gate(from, to);
    to.fusion = conv(from.fusion, widths_.fusion_input(from));
    return to;
  }

 private:
  cuda::Groups all() const { return widths_.groups(widths_.given()); }
  const void* vector(const at::Tensor& values) {
    return values.defined() ? operands_.vector(values, widths_.groups(values.size(0))) : nullptr;
  }

  cuda::Epilogue epilogue(const FusedEpilogue& from) {
    cuda::Epilogue to;
    to.gamma = vector(from.gamma);
    to.beta = vector(from.beta);
    to.mean = vector(from.mean);
    to.var = vector(from.var);
    to.bias = vector(from.bias);
    to.gelu = from.gelu;
    to.gated = from.gated;
    return to;
  }

  cuda::Conv conv(const FusedConv& from, const cuda::Groups& in) {
    cuda::Conv to;
    to.weight = operands_.filters(from.weight, widths_.groups(from.weight.size(0)), in);
    to.out = widths_.widen(from.weight.size(0));
    to.in = widths_.widen(from.weight.size(1));
    place_conv(from, widths_, to);
    to.epilogue = epilogue(from.epilogue);
    return to;
  }

  void add_attention(const FusedExpert& from, cuda::Expert& to) {
    TORCH_CHECK(from.attention_heads == cuda::kHeads, "fused_moe: attention must have ", cuda::kHeads, " heads");
    const auto head = widths_.groups(widths_.given() / from.attention_heads);
    to.attention.heads = static_cast<int>(from.attention_heads);
    to.attention.root = root_;
    to.attention.norm = epilogue(from.attention_norm);
    to.attention.qkv = operands_.filters(from.qkv.weight, head, all());
    to.attention.qkv_bias = operands_.vector(from.qkv.epilogue.bias, head);
    to.attention.proj = operands_.filters(from.proj.weight, all(), head);
    to.attention.proj_bias = vector(from.proj.epilogue.bias);
  }

  void add_depthwise(const FusedExpert& from, cuda::Expert& to) {
    to.depthwise = operands_.filters(from.depthwise.weight, all(), {});
    to.depthwise_kernel = static_cast<int>(from.depthwise.weight.size(2));
    TORCH_CHECK(to.depthwise_kernel == 3 || to.depthwise_kernel == 5, "fused_moe: depthwise kernels are 3x3 or 5x5");
    to.depthwise_epilogue = epilogue(from.depthwise.epilogue);
  }

  void add_gate(const FusedExpert& from, cuda::Expert& to) {
    const auto hidden = widths_.groups(from.gate_reduce.weight.size(0));
    to.gate.hidden = hidden.width;
    to.gate.reduce = operands_.filters(from.gate_reduce.weight, hidden, all());
    to.gate.reduce_bias = vector(from.gate_reduce.epilogue.bias);
    to.gate.expand = operands_.filters(from.gate_expand.weight, all(), hidden);
    to.gate.expand_bias = vector(from.gate_expand.epilogue.bias);
  }

  FusedOperands& operands_;
  const FusedWidths& widths_;
  float root_;
};

/// Whether all its vectors can be read in bfloat16 as they lie.
bool has_bfloat16_vectors(const FusedEpilogue& epilogue) {
  const auto vectors = {epilogue.gamma, epilogue.beta, epilogue.mean, epilogue.var, epilogue.bias};
  return std::ranges::all_of(vectors, [](const at::Tensor& vector) {
    return !vector.defined() || (vector.scalar_type() == at::kBFloat16 && vector.is_contiguous());
  });
}

bool has_bfloat16_vectors(const FusedExpert& expert) {
  const auto fits = [](const FusedConv& conv) { return has_bfloat16_vectors(conv.epilogue); };
  const auto others = {expert.depthwise,   expert.fusion, expert.gate_reduce,
                       expert.gate_expand, expert.qkv,    expert.proj};
  return std::ranges::all_of(expert.convs, fits) && std::ranges::all_of(others, fits) &&
         has_bfloat16_vectors(expert.attention_norm);
}

/// Norms and biases in bfloat16 only where every one of them can be read as it lies; copies are float32.
at::ScalarType vector_type(const std::vector<FusedExpert>& experts, const FusedWidths& widths) {
  const bool all = std::ranges::all_of(experts, [](const FusedExpert& expert) { return has_bfloat16_vectors(expert); });
  return all && widths.added() == 0 ? at::kBFloat16 : at::kFloat;
}

/// Elements of a map; offsets within a slot's maps are 32-bit.
constexpr int64_t kMaxMap = int64_t{1} << 26;

}  // namespace

std::string fused_moe_refusal(const at::Tensor& x_bchw, const std::vector<FusedExpert>& experts) {
  if (!x_bchw.is_cuda()) return "the input is not on a CUDA device";
  if (x_bchw.numel() == 0) return "the input is empty";
  const auto* device = at::cuda::getDeviceProperties(x_bchw.get_device());
  if (device->major < 8) return "the GPU is older than compute capability 8.0";
  if (device->sharedMemPerBlockOptin < cuda::kSharedBytes)
    return fmt::format("the GPU has {} bytes of shared memory a block, the kernels take {}",
                       device->sharedMemPerBlockOptin, cuda::kSharedBytes);
  if (x_bchw.scalar_type() != at::kBFloat16 && x_bchw.scalar_type() != at::kFloat)
    return fmt::format("the input is {}, not float32 or bfloat16", c10::toString(x_bchw.scalar_type()));
  const auto channels = x_bchw.size(1);
  if (channels % 8 != 0 || channels > cuda::kMaxChannels)
    return fmt::format("{} channels are not a multiple of 8 up to {}", channels, cuda::kMaxChannels);
  const FusedWidths widths(channels);
  if (x_bchw.size(2) * x_bchw.size(3) * widths.widened() > kMaxMap)
    return fmt::format("maps of {} positions and {} channels are too large", x_bchw.size(2) * x_bchw.size(3), channels);
  if (!cuda::has_code()) return "this build has no code for the GPU's architecture";
  if (experts.size() > cuda::kMaxExperts)
    return fmt::format("{} experts are more than {}", experts.size(), cuda::kMaxExperts);
  for (std::size_t e = 0; e < experts.size(); ++e) {
    for (const auto& refusal : {size_refusal(experts[e], widths), width_refusal(experts[e], widths)})
      if (!refusal.empty()) return fmt::format("expert {} {}", e, refusal);
  }
  return "";
}

FusedResult fused_moe(const at::Tensor& x_bchw, const FusedRouter& router, const std::vector<FusedExpert>& experts) {
  const auto refusal = fused_moe_refusal(x_bchw, experts);
  TORCH_CHECK(refusal.empty(), "fused_moe: ", refusal);
  check_router(x_bchw, router, experts.size());
  const at::NoGradGuard no_grad;
  const c10::cuda::CUDAGuard guard(x_bchw.device());
  const FusedWidths widths(x_bchw.size(1));
  const auto x = aligned(widen_images(x_bchw, widths), at::MemoryFormat::ChannelsLast);
  const auto stream = at::cuda::getCurrentCUDAStream(x.get_device()).stream();
  const auto vectors = vector_type(experts, widths);
  FusedOperands operands(x, vectors);

  auto layer = std::make_unique<cuda::Layer>();
  const auto count = static_cast<int64_t>(experts.size());
  layer->shape = fused_shape(x, widths, count, router.top_k);
  layer->math = fused_math(x);
  layer->bfloat16_vectors = vectors == at::kBFloat16;
  const FusedGate gate(widen_router(router, widths));
  layer->router = gate.router;
  InferenceDescriber describer(operands, widths, layer->shape.root);
  for (std::size_t e = 0; e < experts.size(); ++e) layer->experts[e] = describer.describe(experts[e]);
  operands.copy(layer->math, stream);

  const FusedChoice choice(x, count, router.top_k);
  FusedResult result{.y_bchw = at::empty_like(x),
                     .logits_be = choice.logits_be,
                     .probs_be = choice.probs_be,
                     .indices_bk = choice.indices_bk,
                     .weights_bk = choice.weights_bk};
  layer->x = x.const_data_ptr();
  layer->y = result.y_bchw.data_ptr();
  layer->choice = choice.pointers();
  auto plan = std::make_unique<cuda::Plan>(cuda::make_plan(*layer));
  const auto scratch =
      at::empty({static_cast<int64_t>(plan->scratch.bytes)}, at::TensorOptions(x.device()).dtype(at::kByte));
  plan->scratch.base = static_cast<char*>(scratch.data_ptr());
  C10_CUDA_CHECK(cuda::launch_forward(*layer, *plan, stream));
  result.y_bchw = narrow_result(result.y_bchw, widths);
  return result;
}

#endif

}  // namespace codmoe::ops
