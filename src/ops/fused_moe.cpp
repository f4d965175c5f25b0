#include "codmoe/ops/fused_moe.h"

#include <ATen/ATen.h>
#include <ATen/core/grad_mode.h>
#include <fmt/format.h>

#ifdef CODMOE_CUDA
#include <ATen/cuda/CUDAContext.h>
#include <c10/cuda/CUDAException.h>
#include <c10/cuda/CUDAGuard.h>

#include <memory>

#include "cuda/moe_launch.h"
#include "fused_layer.h"
#endif

namespace codmoe::ops {

#ifndef CODMOE_CUDA

std::string fused_moe_refusal(const at::Tensor&, int64_t) { return "this build has no CUDA"; }

FusedResult fused_moe(const at::Tensor&, const FusedRouter&, const std::vector<FusedExpert>&) {
  TORCH_CHECK(false, "fused_moe: this build has no CUDA");
}

#else

namespace {

/// Tensors made for one call, kept until its kernels are queued.
class Operands {
 public:
  Operands(const at::Tensor& x, at::ScalarType vectors)
      : device_(x.device()), maps_(x.scalar_type()), vectors_(vectors) {}

  /// [out, k, k, in] in the type of the maps; no copy where the weight lies so already.
  const void* filters(const at::Tensor& weight) {
    if (!weight.defined()) return nullptr;
    return keep(weight.to(maps_).contiguous(at::MemoryFormat::ChannelsLast));
  }
  const void* vector(const at::Tensor& values) {
    if (!values.defined()) return nullptr;
    return keep(values.to(vectors_).contiguous());
  }

 private:
  const void* keep(const at::Tensor& tensor) {
    TORCH_CHECK(tensor.device() == device_, "fused_moe: a parameter is on ", tensor.device(), ", the input on ",
                device_);
    return kept_.emplace_back(tensor).const_data_ptr();
  }

  c10::Device device_;
  at::ScalarType maps_, vectors_;
  std::vector<at::Tensor> kept_;
};

cuda::Epilogue to_cuda(const FusedEpilogue& from, Operands& operands) {
  cuda::Epilogue to;
  to.gamma = operands.vector(from.gamma);
  to.beta = operands.vector(from.beta);
  to.mean = operands.vector(from.mean);
  to.var = operands.vector(from.var);
  to.bias = operands.vector(from.bias);
  to.gelu = from.gelu;
  to.gated = from.gated;
  return to;
}

cuda::Conv to_cuda(const FusedConv& from, Operands& operands) {
  cuda::Conv to;
  to.weight = operands.filters(from.weight);
  to.out = static_cast<int>(from.weight.size(0));
  to.in = static_cast<int>(from.weight.size(1));
  to.kernel = static_cast<int>(from.weight.size(2));
  to.dilation = static_cast<int>(from.dilation);
  to.source = static_cast<int>(from.source);
  to.source_channel = static_cast<int>(from.source_channel);
  to.target = static_cast<int>(from.target);
  to.target_channel = static_cast<int>(from.target_channel);
  to.epilogue = to_cuda(from.epilogue, operands);
  return to;
}

void add_attention(const FusedExpert& from, Operands& operands, cuda::Expert& to) {
  TORCH_CHECK(from.attention_heads == cuda::kHeads, "fused_moe: attention must have ", cuda::kHeads, " heads");
  to.attention.heads = static_cast<int>(from.attention_heads);
  to.attention.norm = to_cuda(from.attention_norm, operands);
  to.attention.qkv = operands.filters(from.qkv.weight);
  to.attention.qkv_bias = operands.vector(from.qkv.epilogue.bias);
  to.attention.proj = operands.filters(from.proj.weight);
  to.attention.proj_bias = operands.vector(from.proj.epilogue.bias);
}

void add_gate(const FusedExpert& from, Operands& operands, cuda::Expert& to) {
  to.gate.hidden = static_cast<int>(from.gate_reduce.weight.size(0));
  to.gate.reduce = operands.filters(from.gate_reduce.weight);
  to.gate.reduce_bias = operands.vector(from.gate_reduce.epilogue.bias);
  to.gate.expand = operands.filters(from.gate_expand.weight);
  to.gate.expand_bias = operands.vector(from.gate_expand.epilogue.bias);
}

cuda::Expert to_cuda(const FusedExpert& from, Operands& operands) {
  cuda::Expert to;
  if (from.attention_heads > 0) {
    add_attention(from, operands, to);
    return to;
  }
  TORCH_CHECK(from.convs.size() <= cuda::kMaxConvs, "fused_moe: at most ", cuda::kMaxConvs, " convolutions an expert");
  for (const auto& conv : from.convs) to.convs[to.conv_count++] = to_cuda(conv, operands);
  to.stencil = static_cast<cuda::Stencil>(from.stencil);
  if (from.stencil == FusedStencil::depthwise) {
    to.depthwise = operands.filters(from.depthwise.weight);
    to.depthwise_kernel = static_cast<int>(from.depthwise.weight.size(2));
    TORCH_CHECK(to.depthwise_kernel == 3 || to.depthwise_kernel == 5, "fused_moe: depthwise kernels are 3x3 or 5x5");
    to.depthwise_epilogue = to_cuda(from.depthwise.epilogue, operands);
  }
  if (from.gate_reduce.weight.defined()) add_gate(from, operands, to);
  to.fusion = to_cuda(from.fusion, operands);
  return to;
}

/// Norms and biases in bfloat16 only where every one of them is.
at::ScalarType vector_type(const std::vector<FusedExpert>& experts) {
  for (const auto& expert : experts) {
    for (const auto* some : {&expert.fusion.epilogue.gamma, &expert.fusion.epilogue.bias, &expert.proj.epilogue.bias}) {
      if (some->defined() && some->scalar_type() != at::kBFloat16) return at::kFloat;
    }
  }
  return at::kBFloat16;
}

/// Elements of a map; offsets within a slot's maps are 32-bit.
constexpr int64_t kMaxMap = int64_t{1} << 26;

}  // namespace

std::string fused_moe_refusal(const at::Tensor& x_bchw, int64_t experts) {
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
  if (channels % 32 != 0 || channels > cuda::kMaxChannels)
    return fmt::format("{} channels are not a multiple of 32 up to {}", channels, cuda::kMaxChannels);
  if (x_bchw.size(2) * x_bchw.size(3) * channels > kMaxMap)
    return fmt::format("maps of {} positions and {} channels are too large", x_bchw.size(2) * x_bchw.size(3), channels);
  if (!cuda::has_code()) return "this build has no code for the GPU's architecture";
  if (experts > cuda::kMaxExperts) return fmt::format("{} experts are more than {}", experts, cuda::kMaxExperts);
  return "";
}

FusedResult fused_moe(const at::Tensor& x_bchw, const FusedRouter& router, const std::vector<FusedExpert>& experts) {
  const auto refusal = fused_moe_refusal(x_bchw, static_cast<int64_t>(experts.size()));
  TORCH_CHECK(refusal.empty(), "fused_moe: ", refusal);
  check_router(x_bchw, router, experts.size());
  const at::NoGradGuard no_grad;
  const c10::cuda::CUDAGuard guard(x_bchw.device());
  const auto x = x_bchw.contiguous(at::MemoryFormat::ChannelsLast);
  const auto vectors = vector_type(experts);
  Operands operands(x, vectors);

  auto layer = std::make_unique<cuda::Layer>();
  const auto count = static_cast<int64_t>(experts.size());
  layer->shape = fused_shape(x, count, router.top_k);
  layer->math = fused_math(x);
  layer->bfloat16_vectors = vectors == at::kBFloat16;
  const FusedGate gate(router);
  layer->router = gate.router;
  for (std::size_t e = 0; e < experts.size(); ++e) layer->experts[e] = to_cuda(experts[e], operands);

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
  C10_CUDA_CHECK(cuda::launch_forward(*layer, *plan, at::cuda::getCurrentCUDAStream(x.get_device()).stream()));
  return result;
}

#endif

}  // namespace codmoe::ops
