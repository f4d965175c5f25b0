#include "codmoe/backbone/swin.h"

#include <ATen/ATen.h>
#include <c10/core/GradMode.h>
#include <torch/nn/modules/container/modulelist.h>
#include <torch/nn/modules/conv.h>
#include <torch/nn/modules/linear.h>

#include <optional>

#include "channels_last.h"
#include "codmoe/nn/drop_path.h"
#include "convnext_parts.h"
#include "swin_windows.h"

namespace codmoe::backbone {

namespace {

constexpr double swin_eps = 1e-5;  ///< of layer norms
constexpr int64_t swin_head_channels = 32;

/// Patches of 4x4, normalised: [B, 3, H, W] -> [B, H/4, W/4, C].
class SwinEmbedding : public torch::nn::Module {
 public:
  explicit SwinEmbedding(int64_t channels)
      : proj_(register_module("proj", make_patch_conv(3, channels, 4))),
        norm_(register_module("norm", make_layer_norm(channels, swin_eps))) {}

  /// In the weights' type, which the sum over the blocks has under autocast too.
  at::Tensor forward(const at::Tensor& x_bchw) {
    return add_and_normalize(norm_, to_channels_last(apply_conv(proj_, x_bchw)), {}, norm_->weight.scalar_type())
        .normed;
  }

 private:
  torch::nn::Conv2d proj_;
  torch::nn::LayerNorm norm_;
};

/// Attention within windows (section 3.2 of the paper): [B, H, W, C] -> [B, H, W, C].
class SwinAttention : public torch::nn::Module {
 public:
  explicit SwinAttention(int64_t channels)
      : qkv_(register_module("qkv", torch::nn::Linear(channels, 3 * channels))),
        proj_(register_module("proj", torch::nn::Linear(channels, channels))),
        table_(register_parameter("relative_position_bias_table",
                                  at::empty({swin_offsets * swin_offsets, channels / swin_head_channels}))) {
    TORCH_CHECK(channels % swin_head_channels == 0, "Swin: heads of ", swin_head_channels, " don't divide ", channels,
                " channels");
    const c10::NoGradGuard no_grad;
    table_.normal_(0.0, 0.02);
  }

  at::Tensor forward(const at::Tensor& x_bhwc, const SwinWindows& windows) {
    const auto x_wnc = windows.split(x_bhwc);
    const auto qkv_wn3hd = apply_linear(qkv_, x_wnc).unflatten(2, {3, -1, swin_head_channels});
    const auto qkv_wnhd =
        qkv_wn3hd.unbind(2);  // before the transposes, so that gradients are stacked where they belong
    const auto q_whnd = qkv_wnhd[0].transpose(1, 2), k_whnd = qkv_wnhd[1].transpose(1, 2);
    const auto v_whnd = qkv_wnhd[2].transpose(1, 2);
    const auto y_whnd = attend(q_whnd, k_whnd, v_whnd, windows.bias(table_));
    return windows.join(apply_linear(proj_, y_whnd.transpose(1, 2).flatten(2)));
  }

 private:
  /// On the CPU LibTorch takes another kernel where no gradient of the bias is asked for, as in the first pass of a
  /// stage that is computed again (nn/checkpoint.h): training must not depend on that.
  at::Tensor attend(const at::Tensor& q_whnd, const at::Tensor& k_whnd, const at::Tensor& v_whnd,
                    const at::Tensor& bias) const {
    if (!is_training() || !q_whnd.is_cpu()) return at::scaled_dot_product_attention(q_whnd, k_whnd, v_whnd, bias);
    const auto typed_bias = bias.to(q_whnd.scalar_type());  // as autocast does above
    return std::get<0>(at::_scaled_dot_product_attention_math(q_whnd, k_whnd, v_whnd, typed_bias));
  }

  torch::nn::Linear qkv_, proj_;
  at::Tensor table_;
};

/// Pre-norm transformer block.
class SwinBlock : public torch::nn::Module {
 public:
  explicit SwinBlock(int64_t channels)
      : norm1_(register_module("norm1", make_layer_norm(channels, swin_eps))),
        attn_(register_module("attn", std::make_shared<SwinAttention>(channels))),
        norm2_(register_module("norm2", make_layer_norm(channels, swin_eps))),
        mlp_(register_module("mlp", std::make_shared<ConvNeXtMlp>(channels))),
        drop_path_(register_module("drop_path", nn::DropPath())) {}

  ResidualSum forward(const ResidualSum& sum, const SwinWindows& windows) {
    const auto type = ops::product_type(sum.x_bhwc);
    const auto first = add_and_normalize(norm1_, sum.x_bhwc, sum.branch_bhwc, type);
    const auto attended = drop_path_(attn_->forward(first.normed, windows));
    const auto second = add_and_normalize(norm2_, first.sum, attended, type);
    return {second.sum, drop_path_(mlp_->forward(second.normed))};
  }

 private:
  torch::nn::LayerNorm norm1_;
  std::shared_ptr<SwinAttention> attn_;
  torch::nn::LayerNorm norm2_;
  std::shared_ptr<ConvNeXtMlp> mlp_;
  nn::DropPath drop_path_;
};

/// Halves the map (section 3.1 of the paper): [B, H, W, in] -> [B, ceil(H/2), ceil(W/2), out].
class SwinMerging : public torch::nn::Module {
 public:
  SwinMerging(int64_t in, int64_t out)
      : norm_(register_module("norm", make_layer_norm(4 * in, swin_eps))),
        reduction_(register_module("reduction", torch::nn::Linear(torch::nn::LinearOptions(4 * in, out).bias(false)))) {
  }

  at::Tensor forward(const at::Tensor& x_bhwc) {
    const auto right = x_bhwc.size(2) % 2, below = x_bhwc.size(1) % 2;
    const auto even_bhwc = right + below == 0 ? x_bhwc : at::constant_pad_nd(x_bhwc, {0, 0, 0, right, 0, below});
    const auto quads = even_bhwc.unflatten(2, {-1, 2}).unflatten(1, {-1, 2});  // [B, H/2, 2, W/2, 2, C]
    const auto x4_bhwc = quads.permute({0, 1, 3, 4, 2, 5}).flatten(3);
    const auto normed_bhwc = add_and_normalize(norm_, x4_bhwc, {}, ops::product_type(x4_bhwc)).normed;
    return apply_linear(reduction_, normed_bhwc).to(x_bhwc.scalar_type());
  }

 private:
  torch::nn::LayerNorm norm_;
  torch::nn::Linear reduction_;
};

/// Halves the map (but for the first stage, which has no `in`), then blocks: [B, H, W, in] -> [B, H', W', C].
class SwinStage : public torch::nn::Module {
 public:
  SwinStage(std::optional<int64_t> in, int64_t depth, int64_t channels) {
    if (in) downsample_ = register_module("downsample", std::make_shared<SwinMerging>(*in, channels));
    for (int64_t i = 0; i < depth; ++i) blocks_->push_back(SwinBlock(channels));
    register_module("blocks", blocks_);
  }

  at::Tensor forward(at::Tensor x_bhwc) {
    if (downsample_) x_bhwc = downsample_->forward(x_bhwc);
    const std::array windows{SwinWindows(x_bhwc, /*shifted=*/false), SwinWindows(x_bhwc, /*shifted=*/true)};
    ResidualSum sum{.x_bhwc = x_bhwc, .branch_bhwc = {}};
    for (std::size_t i = 0; i < blocks_->size(); ++i) sum = blocks_->at<SwinBlock>(i).forward(sum, windows[i % 2]);
    return sum.total();
  }

 private:
  std::shared_ptr<SwinMerging> downsample_;
  torch::nn::ModuleList blocks_;
};

}  // namespace

Swin::Swin(const SwinOptions& options)
    : patch_embed_(SwinEmbedding(options.channels[0])), channels_(options.channels.begin(), options.channels.end()) {
  register_module("patch_embed", patch_embed_.ptr());
  std::optional<int64_t> in;
  for (std::size_t i = 0; i < channels_.size(); ++i) {
    layers_->push_back(SwinStage(in, options.depths[i], channels_[i]));
    in = channels_[i];
  }
  register_module("layers", layers_);
  init_linear(*this);
}

at::Tensor Swin::stage(std::size_t index, const at::Tensor& x_bchw) {
  auto x_bhwc = index == 0 ? patch_embed_.forward(x_bchw) : to_channels_last(x_bchw);
  return to_channels_second(layers_->at<SwinStage>(index).forward(std::move(x_bhwc)));
}

StageModules Swin::stage_modules(std::size_t index) const {
  return modules_of_stage(index, patch_embed_.ptr(), layers_);
}

Normalization Swin::normalization() const { return imagenet_normalization; }

std::vector<std::string> Swin::head_prefixes() const {
  std::vector<std::string> prefixes{"norm.", "head."};
  for (const auto& module : named_modules("", /*include_self=*/false)) {
    if (module.value()->as<SwinAttention>()) prefixes.push_back(module.key() + ".relative_position_index");
    if (module.value()->as<SwinBlock>()) prefixes.push_back(module.key() + ".attn_mask");
  }
  return prefixes;
}

}  // namespace codmoe::backbone
