#ifdef CODMOE_CUDA
#include "fused_parameters.h"

#include <ATen/ATen.h>
#include <fmt/format.h>

#include <algorithm>
#include <iterator>

#include "cuda/training_memory.h"

namespace codmoe::ops {

namespace {

using cuda::TrainConv;
using cuda::TrainExpert;

/// Kernel rows must follow one another as kernel columns do, so that one stride serves all taps.
bool has_tap_stride(const at::Tensor& weight) {
  return weight.dim() < 4 || weight.size(3) == 1 || weight.stride(2) == weight.size(3) * weight.stride(3);
}

cuda::Parameter describe(const at::Tensor& value) {
  cuda::Parameter parameter;
  parameter.value = value.const_data_ptr();
  parameter.bfloat16 = value.scalar_type() == at::kBFloat16;
  parameter.out = static_cast<int>(value.size(0));
  parameter.out_stride = static_cast<int>(value.stride(0));
  if (value.dim() == 4) {
    parameter.in = static_cast<int>(value.size(1));
    parameter.in_stride = static_cast<int>(value.stride(1));
    parameter.taps = static_cast<int>(value.size(2) * value.size(3));
    parameter.tap_stride = static_cast<int>(value.stride(3));
  }
  return parameter;
}

}  // namespace

int FusedParameters::add(const at::Tensor& value, cuda::Training& training, bool as_vector) {
  if (!value.defined()) return -1;
  auto parameter = describe(value);
  const int size = parameter.out * parameter.in * parameter.taps;
  parameter.vector = value.dim() == 1 || as_vector;
  int& taken = parameter.vector ? vectors_ : weights_;
  parameter.packed = taken;
  parameter.reversed = taken + (size + 3) / 4 * 4;
  taken = parameter.reversed + (size + 3) / 4 * 4;
  parameter.first_tile = training.tile_count;
  training.tile_count += cuda::pack_tiles(parameter);
  training.parameters[training.parameter_count] = parameter;
  tensors_.push_back(value);
  return training.parameter_count++;
}

std::vector<at::Tensor> FusedParameters::make_gradients(cuda::Training& training) const {
  std::vector<at::Tensor> gradients;
  for (std::size_t i = 0; i < tensors_.size(); ++i) {
    // Not empty_like: of a 1x1 weight it may choose other strides.
    gradients.push_back(at::empty_strided(tensors_[i].sizes(), tensors_[i].strides(), tensors_[i].options()));
    training.parameters[i].gradient = gradients.back().data_ptr();
  }
  return gradients;
}

namespace {

void add_norm(const FusedEpilogue& from, int norm, FusedParameters& parameters, cuda::Training& training,
              TrainConv& to) {
  if (!from.gamma.defined()) return;
  to.norm = norm;
  to.gamma = parameters.add(from.gamma, training);
  to.beta = parameters.add(from.beta, training);
  to.running_mean = from.mean.data_ptr();
  to.running_var = from.var.data_ptr();
  to.bfloat16_running = from.mean.scalar_type() == at::kBFloat16;
  if (from.batches.defined()) to.batches = reinterpret_cast<long long*>(from.batches.data_ptr<int64_t>());
}

TrainConv describe(const FusedConv& from, int norm, FusedParameters& parameters, cuda::Training& training,
                   bool depthwise = false) {
  TrainConv to;
  to.weight = parameters.add(from.weight, training, depthwise);
  to.bias = parameters.add(from.epilogue.bias, training);
  to.in = static_cast<int>(from.weight.size(1));
  to.out = static_cast<int>(from.weight.size(0));
  to.kernel = static_cast<int>(from.weight.size(2));
  to.dilation = static_cast<int>(from.dilation);
  to.source = static_cast<int>(from.source);
  to.source_channel = static_cast<int>(from.source_channel);
  to.target = static_cast<int>(from.target);
  to.target_channel = static_cast<int>(from.target_channel);
  add_norm(from.epilogue, norm, parameters, training, to);
  return to;
}

void describe_attention(const FusedExpert& from, FusedParameters& parameters, cuda::Training& training,
                        TrainExpert& to) {
  to.heads = static_cast<int>(from.attention_heads);
  to.qkv = parameters.add(from.qkv.weight, training);
  to.qkv_bias = parameters.add(from.qkv.epilogue.bias, training);
  to.proj = parameters.add(from.proj.weight, training);
  to.proj_bias = parameters.add(from.proj.epilogue.bias, training);
  add_norm(from.attention_norm, 0, parameters, training, to.input_norm);
  to.input_norm.out = training.shape.channels;
}

void describe_convolutions(const FusedExpert& from, FusedParameters& parameters, cuda::Training& training,
                           TrainExpert& to) {
  for (const auto& conv : from.convs) to.convs[to.conv_count++] = describe(conv, 0, parameters, training);
  to.stencil = static_cast<cuda::Stencil>(from.stencil);
  if (from.stencil == FusedStencil::depthwise)
    to.depthwise = describe(from.depthwise, 0, parameters, training, /*depthwise=*/true);
  if (from.gate_reduce.weight.defined()) {
    to.hidden = static_cast<int>(from.gate_reduce.weight.size(0));
    to.gate_reduce = parameters.add(from.gate_reduce.weight, training);
    to.gate_reduce_bias = parameters.add(from.gate_reduce.epilogue.bias, training);
    to.gate_expand = parameters.add(from.gate_expand.weight, training);
    to.gate_expand_bias = parameters.add(from.gate_expand.epilogue.bias, training);
  }
  to.fusion = describe(from.fusion, 1, parameters, training);
  to.fusion.source = cuda::kFused;
}

std::string conv_refusal(const FusedExpert& expert, const FusedConv& conv) {
  const bool normed = conv.epilogue.gamma.defined();
  if (conv.target != 0) {
    if (normed || conv.epilogue.gelu || conv.source >= 0) return "feeds a convolution by more than a bias";
    return "";
  }
  if (!conv.epilogue.gelu) return "has a branch without GELU";
  const bool gated = expert.gate_reduce.weight.defined();
  if (normed && (gated || expert.stencil == FusedStencil::depthwise)) return "has a normed branch beside a gate";
  if (normed == conv.epilogue.bias.defined()) return "has a branch with both norm and bias, or neither";
  if (normed != expert.convs.back().epilogue.gamma.defined()) return "norms some of its branches";
  return "";
}

std::string norm_refusal(const FusedEpilogue& norm) {
  if (!norm.gamma.defined()) return "";
  const auto type = norm.mean.scalar_type();
  if (type != norm.var.scalar_type() || (type != at::kFloat && type != at::kBFloat16))
    return fmt::format("has running statistics of {}", c10::toString(type));
  if (norm.batches.defined() && norm.batches.scalar_type() != at::kLong)
    return fmt::format("counts its batches in {}", c10::toString(norm.batches.scalar_type()));
  return "";
}

/// Branches that read x beside ones that read other convolutions' results would need two products into one map.
bool mixes_chains(const FusedExpert& expert) {
  const auto feeds = [](const FusedConv& conv) { return conv.target != 0; };
  const auto direct = [](const FusedConv& conv) { return conv.target == 0 && conv.source < 0; };
  return std::ranges::any_of(expert.convs, feeds) && std::ranges::any_of(expert.convs, direct);
}

std::string expert_refusal(const FusedExpert& expert) {
  if (expert.attention_heads > 0) return norm_refusal(expert.attention_norm);
  if (expert.convs.size() > cuda::kMaxConvs) return fmt::format("has more than {} convolutions", cuda::kMaxConvs);
  for (const auto& conv : expert.convs) {
    if (auto refusal = conv_refusal(expert, conv); !refusal.empty()) return refusal;
    if (auto refusal = norm_refusal(conv.epilogue); !refusal.empty()) return refusal;
  }
  for (const auto* conv : {&expert.fusion, &expert.depthwise}) {
    if (auto refusal = norm_refusal(conv->epilogue); !refusal.empty()) return refusal;
  }
  const auto branches = std::ranges::count(expert.convs, 0, &FusedConv::target);
  if (branches > cuda::kMaxBranches) return fmt::format("has more than {} branches", cuda::kMaxBranches);
  if (mixes_chains(expert)) return "has branches of one and of two convolutions";
  const auto& fusion = expert.fusion.epilogue;
  if (fusion.gamma.defined() != fusion.gelu || fusion.gamma.defined() == fusion.bias.defined())
    return "has a fusion of another form than norm and GELU, or bias";
  if (expert.stencil == FusedStencil::depthwise &&
      (expert.convs.size() != 1 || !expert.depthwise.epilogue.gamma.defined() ||
       expert.depthwise.epilogue.bias.defined()))
    return "has a depthwise convolution of another form";
  return "";
}

/// All tensors that training would number.
std::vector<at::Tensor> tensors_of(const FusedExpert& expert) {
  std::vector<at::Tensor> all;
  const auto add_some = [&](std::initializer_list<at::Tensor> tensors) {
    std::ranges::copy_if(tensors, std::back_inserter(all), [](const auto& tensor) { return tensor.defined(); });
  };
  const auto add = [&](const FusedConv& conv) {
    add_some({conv.weight, conv.epilogue.bias, conv.epilogue.gamma, conv.epilogue.beta});
  };
  for (const auto& conv : expert.convs) add(conv);
  for (const auto* conv :
       {&expert.depthwise, &expert.fusion, &expert.gate_reduce, &expert.gate_expand, &expert.qkv, &expert.proj})
    add(*conv);
  add_some({expert.attention_norm.gamma, expert.attention_norm.beta});
  return all;
}

}  // namespace

std::string training_form_refusal(const std::vector<FusedExpert>& experts) {
  std::size_t count = 0;
  for (std::size_t e = 0; e < experts.size(); ++e) {
    if (const auto refusal = expert_refusal(experts[e]); !refusal.empty())
      return fmt::format("expert {} {}", e, refusal);
    const auto tensors = tensors_of(experts[e]);
    count += tensors.size();
    for (const auto& tensor : tensors) {
      if (tensor.scalar_type() != at::kFloat && tensor.scalar_type() != at::kBFloat16)
        return fmt::format("expert {} has parameters of {}", e, c10::toString(tensor.scalar_type()));
      if (!tensor.is_non_overlapping_and_dense() || !has_tap_stride(tensor))
        return fmt::format("expert {} has a parameter of unusual strides", e);
    }
  }
  if (count > cuda::kMaxParameters)
    return fmt::format("{} parameter tensors are more than {}", count, cuda::kMaxParameters);
  return "";
}

FusedParameters describe_training(const std::vector<FusedExpert>& experts, cuda::Training& training) {
  FusedParameters parameters;
  for (std::size_t e = 0; e < experts.size(); ++e) {
    auto& to = training.experts[e];
    if (experts[e].attention_heads > 0) {
      describe_attention(experts[e], parameters, training, to);
    } else {
      describe_convolutions(experts[e], parameters, training, to);
    }
  }
  return parameters;
}

}  // namespace codmoe::ops
#endif  // CODMOE_CUDA
