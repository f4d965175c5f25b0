#include "codmoe/engine/narrow_weights.h"

#include <ATen/ATen.h>
#include <ATen/core/grad_mode.h>
#include <torch/csrc/autograd/custom_function.h>
#include <torch/nn/modules/conv.h>
#include <torch/nn/modules/linear.h>

#include <unordered_set>

namespace codmoe::engine {

namespace {

using torch::autograd::variable_list;

/// A backward waits for all weights of its group, and what sums gradients over ranks for it: so groups are small.
constexpr int64_t elements_of_group = int64_t{1} << 21;

class CopyWeights : public torch::autograd::Function<CopyWeights> {
 public:
  static variable_list forward(torch::autograd::AutogradContext* context, at::TensorList weights) {
    context->set_materialize_grads(false);
    return ops::copy_all(weights.vec(), at::kBFloat16);
  }

  static variable_list backward(torch::autograd::AutogradContext*, variable_list gradients) {
    TORCH_CHECK(!at::GradMode::is_enabled(), "engine::NarrowWeights: has no second derivative");
    std::vector<at::Tensor> present;
    for (const auto& gradient : gradients) {
      if (gradient.defined()) present.push_back(gradient);
    }
    const auto wide = ops::copy_all(present, at::kFloat);
    auto next = wide.begin();
    for (auto& gradient : gradients) {
      if (gradient.defined()) gradient = *next++;
    }
    return gradients;
  }
};

}  // namespace

NarrowWeights::NarrowWeights(model::DetectorImpl& model, c10::Device device, Precision precision) {
  if (!device.is_cuda() || precision != Precision::bfloat16) return;
  std::unordered_set<const torch::nn::Module*> of_moe;
  for (const auto& layer : model.moe_layers()) {
    for (const auto& part : layer->modules()) of_moe.insert(part.get());
  }
  for (const auto& part : model.modules()) {
    if (of_moe.contains(part.get())) continue;
    if (auto* conv = part->as<torch::nn::Conv2dImpl>()) {
      const bool depthwise = conv->options.groups() > 1;
      if (depthwise || conv->weight.scalar_type() != at::kFloat) continue;
      convs_.push_back({&conv->weight, conv->weight});
      if (conv->bias.defined()) others_.push_back(conv->bias);
    } else if (auto* linear = part->as<torch::nn::LinearImpl>()) {
      if (linear->weight.scalar_type() != at::kFloat) continue;
      others_.push_back(linear->weight);
      if (linear->bias.defined()) others_.push_back(linear->bias);
    }
  }
}

void NarrowWeights::use_copies(const std::vector<Conv>& convs) {
  std::vector<at::Tensor> parameters;
  for (const auto& conv : convs) parameters.push_back(conv.parameter);
  const auto copies = CopyWeights::apply(at::TensorList(parameters));
  for (std::size_t i = 0; i < convs.size(); ++i) *convs[i].member = copies[i];
}

NarrowWeights::PutBack::~PutBack() {
  for (const auto& conv : convs_) *conv.member = conv.parameter;
}

NarrowWeights::Scope::Scope(NarrowWeights& weights) : put_back_(weights.convs_) {
  if (!weights.others_.empty()) others_.emplace(weights.others_, at::kBFloat16);
  std::vector<Conv> trained, frozen;
  int64_t elements = 0;
  for (const auto& conv : weights.convs_) {
    if (!conv.parameter.requires_grad()) {
      frozen.push_back(conv);
      continue;
    }
    trained.push_back(conv);
    elements += conv.parameter.numel();
    if (elements < elements_of_group) continue;
    weights.use_copies(trained);
    trained.clear();
    elements = 0;
  }
  if (!trained.empty()) weights.use_copies(trained);
  if (!frozen.empty()) weights.use_copies(frozen);
}

}  // namespace codmoe::engine
