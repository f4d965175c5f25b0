#include "codmoe/model/decoder.h"

#include <torch/nn/modules/container/modulelist.h>

#include "codmoe/ops/resize.h"

namespace codmoe::model {

DecoderImpl::DecoderImpl(const std::vector<int64_t>& channels, const DecoderOptions& options) {
  auto lateral = register_module("lateral", torch::nn::ModuleList());
  auto smooth = register_module("smooth", torch::nn::ModuleList());
  auto head = register_module("head", torch::nn::ModuleList());
  const auto width = options.width;
  for (std::size_t level = 0; level < channels.size(); ++level) {
    lateral_.emplace_back(nn::ConvShape{.in = channels[level], .out = width}, options.norm);
    lateral->push_back(lateral_.back());
    head_.push_back(nn::make_conv({.in = width, .out = 1, .kernel = 3}, /*bias=*/true));
    head->push_back(head_.back());
    if (level + 1 == channels.size()) break;
    smooth_.emplace_back(nn::ConvShape{.in = width, .out = width, .kernel = 3}, options.norm);
    smooth->push_back(smooth_.back());
  }
}

std::vector<at::Tensor> DecoderImpl::forward(const std::vector<at::Tensor>& features) {
  TORCH_CHECK(features.size() == lateral_.size(), "the decoder has ", lateral_.size(), " levels, not ",
              features.size());
  std::vector<at::Tensor> logits(features.size());
  at::Tensor top;
  for (std::size_t level = features.size(); level-- > 0;) {
    auto x = lateral_[level]->forward(features[level]);
    if (top.defined()) x = smooth_[level]->forward(ops::add_resized(x, top));
    logits[level] = head_[level]->forward(x);
    top = x;
  }
  return logits;
}

}  // namespace codmoe::model
