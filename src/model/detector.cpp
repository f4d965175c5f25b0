#include "codmoe/model/detector.h"

#include <ATen/ATen.h>
#include <torch/nn/modules/container/modulelist.h>

#include <algorithm>

#include "codmoe/backbone/registry.h"
#include "codmoe/ops/resize.h"

namespace codmoe::model {

namespace {

constexpr auto& kStrides = backbone::Backbone::strides;

at::Tensor per_channel(const std::array<double, 3>& values) {
  return at::tensor(at::ArrayRef<double>(values), at::kDouble).to(at::kFloat).view({3, 1, 1});
}

}  // namespace

void DetectorOptions::check() const { backbone::check_strides("moe_strides", moe_strides); }

DetectorImpl::DetectorImpl(const DetectorOptions& options)
    : backbone_(register_module("backbone", backbone::make_backbone(options.backbone))),
      mean_(per_channel(backbone_->normalization().mean)),
      inverse_std_(per_channel(backbone_->normalization().std).reciprocal()) {
  options.check();
  const auto channels = backbone_->channels();
  auto list = register_module("moe", torch::nn::ModuleList());
  for (const auto stride : options.moe_strides) {
    const auto level = static_cast<std::size_t>(std::ranges::find(kStrides, stride) - kStrides.begin());
    moe_levels_.push_back(level);
    moe_.emplace_back(channels[level], options.moe);
    list->push_back(moe_.back());
  }
  decoder_ = register_module("decoder", Decoder(channels, options.decoder));
}

at::Tensor DetectorImpl::normalize(const at::Tensor& images_b3hw) {
  mean_ = mean_.to(images_b3hw.options());
  inverse_std_ = inverse_std_.to(images_b3hw.options());
  return (images_b3hw - mean_) * inverse_std_;
}

DetectorOutput DetectorImpl::forward(const at::Tensor& images_b3hw) {
  TORCH_CHECK(images_b3hw.dim() == 4 && images_b3hw.size(1) == 3 && images_b3hw.is_floating_point(),
              "the detector takes floating images [B, 3, H, W], not ", images_b3hw.scalar_type(), " of ",
              images_b3hw.sizes());
  DetectorOutput output;
  auto features = backbone_->forward(normalize(images_b3hw));
  for (std::size_t i = 0; i < moe_.size(); ++i) {
    auto& feature = features[moe_levels_[i]];
    auto mixed = moe_[i]->forward(feature);
    feature = mixed.y_bchw;
    output.routings.push_back(std::move(mixed.routing));
  }
  for (const auto& logits : decoder_->forward(features)) {
    const auto wide = logits.to(at::promote_types(logits.scalar_type(), at::kFloat));
    output.logits.push_back(ops::resize_bilinear(wide, images_b3hw.size(2), images_b3hw.size(3)));
  }
  return output;
}

at::Tensor to_unit_range(const at::Tensor& images_u8) { return images_u8.to(at::kFloat) / 255; }

}  // namespace codmoe::model
