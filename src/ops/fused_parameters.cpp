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

int16_t widened_size(int64_t size, const cuda::Groups& groups) {
  return parameter_size(size / groups.given * groups.width);
}

}  // namespace

bool has_tap_stride(const at::Tensor& weight) {
  return weight.dim() < 4 || weight.size(3) == 1 || weight.stride(2) == weight.size(3) * weight.stride(3);
}

cuda::Parameter fused_parameter(const at::Tensor& value, const cuda::Groups& out, const cuda::Groups& in) {
  cuda::Parameter parameter;
  parameter.value = value.const_data_ptr();
  parameter.bfloat16 = value.scalar_type() == at::kBFloat16;
  parameter.out_groups = out;
  parameter.out = widened_size(value.size(0), out);
  parameter.out_stride = static_cast<int>(value.stride(0));
  if (value.dim() == 4) {
    parameter.in_groups = in;
    parameter.in = widened_size(value.size(1), in);
    parameter.in_stride = static_cast<int>(value.stride(1));
    parameter.taps = parameter_size(value.size(2) * value.size(3));
    parameter.tap_stride = static_cast<int>(value.stride(3));
  }
  return parameter;
}

int FusedParameters::add(const at::Tensor& value, cuda::Training& training, const cuda::Groups& out,
                         const cuda::Groups& in, bool as_vector) {
  if (!value.defined()) return -1;
  auto parameter = fused_parameter(value, out, in);
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
  layouts_.push_back({value.sizes().vec(), value.strides().vec(), value.options().requires_grad(false)});
  return training.parameter_count++;
}

std::vector<at::Tensor> FusedParameters::make_gradients(cuda::Training& training) const {
  std::vector<at::Tensor> gradients;
  for (std::size_t i = 0; i < layouts_.size(); ++i) {
    // Not empty_like: of a 1x1 weight it may choose other strides.
    gradients.push_back(at::empty_strided(layouts_[i].sizes, layouts_[i].strides, layouts_[i].options));
    training.parameters[i].gradient = gradients.back().data_ptr();
  }
  return gradients;
}

namespace {

/// Describes one expert after the other.
class TrainingDescriber {
 public:
  TrainingDescriber(FusedParameters& parameters, cuda::Training& training, const FusedWidths& widths)
      : parameters_(parameters), training_(training), widths_(widths) {}

  void describe(const FusedExpert& from, TrainExpert& to) {
    if (from.attention_heads > 0) {
      describe_attention(from, to);
    } else {
      describe_convolutions(from, to);
    }
  }

 private:
  int add(const at::Tensor& vector) {
    return vector.defined() ? parameters_.add(vector, training_, widths_.groups(vector.size(0))) : -1;
  }

  void add_norm(const FusedEpilogue& from, int norm, TrainConv& to) {
    if (!from.gamma.defined()) return;
    to.norm = norm;
    to.gamma = add(from.gamma);
    to.beta = add(from.beta);
    to.normed = static_cast<int>(from.gamma.size(0));
    to.running_mean = from.mean.data_ptr();
    to.running_var = from.var.data_ptr();
    to.bfloat16_running = from.mean.scalar_type() == at::kBFloat16;
    if (from.batches.defined()) to.batches = reinterpret_cast<long long*>(from.batches.data_ptr<int64_t>());
  }

  TrainConv conv(const FusedConv& from, int norm, const cuda::Groups& in, bool depthwise = false) {
    TrainConv to;
    to.weight = parameters_.add(from.weight, training_, widths_.groups(from.weight.size(0)), in, depthwise);
    to.bias = add(from.epilogue.bias);
    to.in = training_.parameters[to.weight].in;
    to.out = training_.parameters[to.weight].out;
    place_conv(from, widths_, to);
    add_norm(from.epilogue, norm, to);
    return to;
  }

  void describe_attention(const FusedExpert& from, TrainExpert& to) {
    const auto all = widths_.groups(widths_.given()), head = widths_.groups(widths_.given() / from.attention_heads);
    to.heads = static_cast<int>(from.attention_heads);
    to.qkv = parameters_.add(from.qkv.weight, training_, head, all);
    to.qkv_bias = parameters_.add(from.qkv.epilogue.bias, training_, head);
    to.proj = parameters_.add(from.proj.weight, training_, all, head);
    to.proj_bias = add(from.proj.epilogue.bias);
    add_norm(from.attention_norm, 0, to.input_norm);
    to.input_norm.out = training_.shape.channels;
  }

  void describe_convolutions(const FusedExpert& from, TrainExpert& to) {
    for (const auto& branch : from.convs)
      to.convs[to.conv_count++] = conv(branch, 0, widths_.groups(branch.weight.size(1)));
    to.stencil = static_cast<cuda::Stencil>(from.stencil);
    if (from.stencil == FusedStencil::depthwise) to.depthwise = conv(from.depthwise, 0, {}, /*depthwise=*/true);
    if (from.gate_reduce.weight.defined()) describe_gate(from, to);
    to.fusion = conv(from.fusion, 1, widths_.fusion_input(from));
    to.fusion.source = cuda::kFused;
  }

  void describe_gate(const FusedExpert& from, TrainExpert& to) {
    const auto all = widths_.groups(widths_.given()), hidden = widths_.groups(from.gate_reduce.weight.size(0));
    to.hidden = hidden.width;
    to.gate_reduce = parameters_.add(from.gate_reduce.weight, training_, hidden, all);
    to.gate_reduce_bias = add(from.gate_reduce.epilogue.bias);
    to.gate_expand = parameters_.add(from.gate_expand.weight, training_, all, hidden);
    to.gate_expand_bias = add(from.gate_expand.epilogue.bias);
  }

  FusedParameters& parameters_;
  cuda::Training& training_;
  const FusedWidths& widths_;
};

std::string conv_refusal(const FusedConv& conv, bool depthwise) {
  const bool normed = conv.epilogue.gamma.defined(), biased = conv.epilogue.bias.defined();
  if (conv.target != 0) {
    const bool plain = !normed && biased && !conv.epilogue.gelu && conv.source < 0;
    return plain ? "" : "feeds a convolution by something else than a convolution of x with bias";
  }
  if (!conv.epilogue.gelu) return "has a branch without GELU";
  if (normed == biased) return "has a branch with both norm and bias, or neither";
  if (normed == depthwise) return "has a branch with a norm after a depthwise convolution, or one without elsewhere";
  return "";
}

/// Branches must fill the fusion's channels in eights, and what feeds them must fit the map.
std::string form_refusal(const FusedExpert& expert, const FusedWidths& widths) {
  const auto channels = widths.given();
  int64_t branches = 0, fed = 0;
  for (const auto& conv : expert.convs) {
    if (widths.widen(conv.weight.size(0)) % 8 != 0 || widths.widen(conv.weight.size(1)) % 8 != 0)
      return "has widths that are not multiples of 8";
    (conv.target == 0 ? branches : fed) += conv.weight.size(0);
  }
  const auto& fusion = expert.fusion.weight;
  if (branches != channels || fed > channels || fusion.size(0) != channels || fusion.size(1) != channels ||
      fusion.size(2) != 1)
    return fmt::format("has branches or a fusion of other widths than {}", channels);
  return "";
}

std::string gate_refusal(const FusedExpert& expert, int64_t channels) {
  const auto &reduce = expert.gate_reduce, &expand = expert.gate_expand;
  if (!reduce.weight.defined()) return "";
  if (expert.stencil != FusedStencil::depthwise) return "has a gate without a depthwise convolution";
  if (!expand.weight.defined() || !reduce.epilogue.bias.defined() || !expand.epilogue.bias.defined())
    return "has a gate of another form than two convolutions with bias";
  if (reduce.weight.size(0) != channels / 4) return fmt::format("has a gate of another width than {}", channels / 4);
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

std::string attention_refusal(const FusedExpert& expert, int64_t channels) {
  if (!expert.attention_norm.gamma.defined()) return "is attention without a norm";
  if (!expert.qkv.epilogue.bias.defined() || !expert.proj.epilogue.bias.defined()) return "is attention without a bias";
  if (expert.qkv.weight.size(0) != 3 * channels || expert.proj.weight.size(0) != channels)
    return fmt::format("is attention of another width than {}", channels);
  return norm_refusal(expert.attention_norm);
}

/// The first refusal that is one.
std::string first_of(std::initializer_list<std::string> refusals) {
  const auto found = std::ranges::find_if(refusals, [](const auto& refusal) { return !refusal.empty(); });
  return found == refusals.end() ? "" : *found;
}

std::string expert_refusal(const FusedExpert& expert, const FusedWidths& widths) {
  const auto channels = widths.given();
  if (expert.attention_heads > 0) return attention_refusal(expert, channels);
  const bool depthwise = expert.stencil == FusedStencil::depthwise;
  if (expert.convs.empty()) return "has no branches";
  if (expert.convs.size() > cuda::kMaxConvs) return fmt::format("has more than {} convolutions", cuda::kMaxConvs);
  for (const auto& conv : expert.convs) {
    const auto refusal = first_of({conv_refusal(conv, depthwise), norm_refusal(conv.epilogue)});
    if (!refusal.empty()) return refusal;
  }
  const auto branches = std::ranges::count(expert.convs, 0, &FusedConv::target);
  if (branches > cuda::kMaxBranches) return fmt::format("has more than {} branches", cuda::kMaxBranches);
  if (mixes_chains(expert)) return "has branches of one and of two convolutions";
  const auto& fusion = expert.fusion.epilogue;
  if (fusion.gamma.defined() != fusion.gelu || fusion.gamma.defined() == fusion.bias.defined())
    return "has a fusion of another form than norm and GELU, or bias";
  if (depthwise && (expert.convs.size() != 1 || !expert.depthwise.epilogue.gamma.defined() ||
                    expert.depthwise.epilogue.bias.defined()))
    return "has a depthwise convolution of another form";
  return first_of({norm_refusal(fusion), norm_refusal(expert.depthwise.epilogue), form_refusal(expert, widths),
                   gate_refusal(expert, channels)});
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

std::string training_form_refusal(const std::vector<FusedExpert>& experts, const c10::Device& device,
                                  const FusedWidths& widths) {
  std::size_t count = 0;
  for (std::size_t e = 0; e < experts.size(); ++e) {
    if (const auto refusal = expert_refusal(experts[e], widths); !refusal.empty())
      return fmt::format("expert {} {}", e, refusal);
    const auto tensors = tensors_of(experts[e]);
    count += tensors.size();
    for (const auto& tensor : tensors) {
      if (tensor.scalar_type() != at::kFloat && tensor.scalar_type() != at::kBFloat16)
        return fmt::format("expert {} has parameters of {}", e, c10::toString(tensor.scalar_type()));
      if (tensor.device() != device) return fmt::format("expert {} is on {}", e, tensor.device().str());
      if (!tensor.is_non_overlapping_and_dense() || !has_tap_stride(tensor))
        return fmt::format("expert {} has a parameter of unusual strides", e);
    }
  }
  if (count > cuda::kMaxParameters)
    return fmt::format("{} parameter tensors are more than {}", count, cuda::kMaxParameters);
  return "";
}

FusedParameters describe_training(const std::vector<FusedExpert>& experts, const FusedWidths& widths,
                                  cuda::Training& training) {
  FusedParameters parameters;
  TrainingDescriber describer(parameters, training, widths);
  for (std::size_t e = 0; e < experts.size(); ++e) describer.describe(experts[e], training.experts[e]);
  return parameters;
}

}  // namespace codmoe::ops
#endif  // CODMOE_CUDA
