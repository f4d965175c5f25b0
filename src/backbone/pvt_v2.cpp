#include "codmoe/backbone/pvt_v2.h"

#include <ATen/ATen.h>
#include <torch/nn/modules/container/modulelist.h>
#include <torch/nn/modules/conv.h>
#include <torch/nn/modules/linear.h>

#include <optional>

#include "channels_last.h"
#include "codmoe/nn/drop_path.h"
#include "codmoe/nn/init.h"
#include "codmoe/ops/depthwise_gelu.h"

namespace codmoe::backbone {

namespace {

/// The original has PyTorch's eps in the norms of embeddings and of reduced maps, a smaller one in blocks and stages.
constexpr double reduction_eps = 1e-5;
constexpr double block_eps = 1e-6;

/// What differs between stages apart from their depth.
struct PvtBlockShape {
  int64_t channels;
  int64_t heads;
  int64_t reduction;  ///< stride of keys and values, where attention isn't linear
  int64_t hidden;     ///< channels within the feed-forward layer
  bool linear_attention;
};
constexpr std::array<int64_t, 4> pvt_heads{1, 2, 5, 8};
constexpr std::array<int64_t, 4> pvt_reductions{8, 4, 2, 1};
constexpr int64_t pooled_size = 7;

/// Patches that overlap: a convolution whose kernel is about twice its stride, then a norm.
/// [B, in, H, W] -> [B, ceil(H / stride), ceil(W / stride), out].
class PvtEmbedding : public torch::nn::Module {
 public:
  PvtEmbedding(int64_t in, int64_t out, int64_t kernel, int64_t stride)
      : proj_(register_module(
            "proj", torch::nn::Conv2d(torch::nn::Conv2dOptions(in, out, kernel).stride(stride).padding(kernel / 2)))),
        norm_(register_module("norm", make_layer_norm(out, reduction_eps))) {}

  /// In the weights' type, which the sum over the blocks has under autocast too.
  at::Tensor forward(const at::Tensor& x_bchw) {
    return add_and_normalize(norm_, to_channels_last(apply_conv(proj_, x_bchw)), {}, norm_->weight.scalar_type())
        .normed;
  }

 private:
  torch::nn::Conv2d proj_;
  torch::nn::LayerNorm norm_;
};

/// Spatial-reduction attention (section 3.1 of PVT, arXiv:2102.12122), or linear: [B, H, W, C] -> [B, H, W, C].
class PvtAttention : public torch::nn::Module {
 public:
  explicit PvtAttention(const PvtBlockShape& shape)
      : heads_(shape.heads),
        linear_(shape.linear_attention),
        q_(register_module("q", torch::nn::Linear(shape.channels, shape.channels))),
        kv_(register_module("kv", torch::nn::Linear(shape.channels, 2 * shape.channels))),
        proj_(register_module("proj", torch::nn::Linear(shape.channels, shape.channels))) {
    if (!linear_ && shape.reduction == 1) return;
    const int64_t kernel = linear_ ? 1 : shape.reduction;
    sr_ = register_module(
        "sr", torch::nn::Conv2d(torch::nn::Conv2dOptions(shape.channels, shape.channels, kernel).stride(kernel)));
    norm_ = register_module("norm", make_layer_norm(shape.channels, reduction_eps));
  }

  at::Tensor forward(const at::Tensor& x_bhwc) {
    const auto batch = x_bhwc.size(0), head_channels = x_bhwc.size(3) / heads_;
    const auto q_bhnd = apply_linear(q_, x_bhwc).reshape({batch, -1, heads_, head_channels}).transpose(1, 2);
    const auto kv_bm2hd = apply_linear(kv_, reduce(x_bhwc)).reshape({batch, -1, 2, heads_, head_channels});
    const auto k_bhmd = kv_bm2hd.select(2, 0).transpose(1, 2), v_bhmd = kv_bm2hd.select(2, 1).transpose(1, 2);
    const auto y_bhnd = at::scaled_dot_product_attention(q_bhnd, k_bhmd, v_bhmd);
    return apply_linear(proj_, y_bhnd.transpose(1, 2).reshape(x_bhwc.sizes()));
  }

 private:
  /// The coarser map that keys and values are made of.
  at::Tensor reduce(const at::Tensor& x_bhwc) {
    if (sr_.is_empty()) return x_bhwc;
    const auto x_bchw = to_channels_second(x_bhwc);
    if (!linear_) return normalize(apply_conv(sr_, x_bchw));
    return at::gelu(normalize(apply_conv(sr_, at::adaptive_avg_pool2d(x_bchw, {pooled_size, pooled_size}))));
  }
  at::Tensor normalize(const at::Tensor& x_bchw) {
    return add_and_normalize(norm_, to_channels_last(x_bchw), {}, x_bchw.scalar_type()).normed;
  }

  int64_t heads_;
  bool linear_;
  torch::nn::Linear q_, kv_, proj_;
  torch::nn::Conv2d sr_{nullptr};
  torch::nn::LayerNorm norm_{nullptr};
};

/// Feed-forward layer, where a depthwise 3x3 convolution tells positions apart by the zeros around the map:
/// [B, H, W, C] -> [B, H, W, C].
class PvtFeedForward : public torch::nn::Module {
 public:
  explicit PvtFeedForward(const PvtBlockShape& shape)
      : relu_(shape.linear_attention),
        fc1_(register_module("fc1", torch::nn::Linear(shape.channels, shape.hidden))),
        dwconv_(register_module(
            "dwconv", torch::nn::Conv2d(
                          torch::nn::Conv2dOptions(shape.hidden, shape.hidden, 3).padding(1).groups(shape.hidden)))),
        fc2_(register_module("fc2", torch::nn::Linear(shape.hidden, shape.channels))) {}

  at::Tensor forward(const at::Tensor& x_bhwc) {
    const ops::DepthwiseState conv{dwconv_->weight, dwconv_->bias};
    if (relu_) {
      const auto y_bhwc = at::relu(apply_linear(fc1_, x_bhwc));
      return apply_linear(fc2_, ops::depthwise_gelu(y_bhwc, at::zeros_like(fc1_->bias), conv));
    }
    const auto y_bhwc = ops::linear(x_bhwc, fc1_->weight, {});
    return apply_linear(fc2_, ops::depthwise_gelu(y_bhwc, fc1_->bias, conv));
  }

 private:
  bool relu_;  ///< the variant with linear attention has one before the convolution too
  torch::nn::Linear fc1_;
  torch::nn::Conv2d dwconv_;
  torch::nn::Linear fc2_;
};

/// Pre-norm transformer block.
class PvtBlock : public torch::nn::Module {
 public:
  explicit PvtBlock(const PvtBlockShape& shape)
      : norm1_(register_module("norm1", make_layer_norm(shape.channels, block_eps))),
        attn_(register_module("attn", std::make_shared<PvtAttention>(shape))),
        norm2_(register_module("norm2", make_layer_norm(shape.channels, block_eps))),
        mlp_(register_module("mlp", std::make_shared<PvtFeedForward>(shape))),
        drop_path_(register_module("drop_path", nn::DropPath())) {}

  ResidualSum forward(const ResidualSum& sum) {
    const auto type = ops::product_type(sum.x_bhwc);
    const auto first = add_and_normalize(norm1_, sum.x_bhwc, sum.branch_bhwc, type);
    const auto second = add_and_normalize(norm2_, first.sum, drop_path_(attn_->forward(first.normed)), type);
    return {second.sum, drop_path_(mlp_->forward(second.normed))};
  }

 private:
  torch::nn::LayerNorm norm1_;
  std::shared_ptr<PvtAttention> attn_;
  torch::nn::LayerNorm norm2_;
  std::shared_ptr<PvtFeedForward> mlp_;
  nn::DropPath drop_path_;
};

/// Halves the map (but for the first stage, which has no `in`), then blocks and a norm: [B, H, W, in] -> [B, H', W',
/// C].
class PvtStage : public torch::nn::Module {
 public:
  PvtStage(std::optional<int64_t> in, int64_t depth, const PvtBlockShape& shape)
      : norm_(register_module("norm", make_layer_norm(shape.channels, block_eps))) {
    if (in) downsample_ = register_module("downsample", std::make_shared<PvtEmbedding>(*in, shape.channels, 3, 2));
    const auto blocks = register_module("blocks", torch::nn::ModuleList());
    for (int64_t i = 0; i < depth; ++i) {
      blocks_.push_back(std::make_shared<PvtBlock>(shape));
      blocks->push_back(blocks_.back());
    }
  }

  at::Tensor forward(const at::Tensor& x_bhwc) {
    ResidualSum sum{.x_bhwc = downsample_ ? downsample_->forward(to_channels_second(x_bhwc)) : x_bhwc,
                    .branch_bhwc = {}};
    for (const auto& block : blocks_) sum = block->forward(sum);
    return add_and_normalize(norm_, sum.x_bhwc, sum.branch_bhwc, ops::product_type(sum.x_bhwc)).normed;
  }

 private:
  std::shared_ptr<PvtEmbedding> downsample_;
  std::vector<std::shared_ptr<PvtBlock>> blocks_;
  torch::nn::LayerNorm norm_;
};

}  // namespace

PvtV2::PvtV2(const PvtV2Options& options)
    : patch_embed_(PvtEmbedding(3, options.channels[0], 7, 4)),
      channels_(options.channels.begin(), options.channels.end()) {
  std::optional<int64_t> in;
  for (std::size_t i = 0; i < channels_.size(); ++i) {
    const PvtBlockShape shape{.channels = channels_[i],
                              .heads = pvt_heads[i],
                              .reduction = pvt_reductions[i],
                              .hidden = channels_[i] * options.expansions[i],
                              .linear_attention = options.linear_attention};
    stages_->push_back(PvtStage(in, options.depths[i], shape));
    in = channels_[i];
  }
  register_module("patch_embed", patch_embed_.ptr());
  register_module("stages", stages_);
  nn::init_fan_out(*this);
  init_linear(*this);
}

at::Tensor PvtV2::stage(std::size_t index, const at::Tensor& x_bchw) {
  const auto x_bhwc = index == 0 ? patch_embed_.forward(x_bchw) : to_channels_last(x_bchw);
  return to_channels_second(stages_->at<PvtStage>(index).forward(x_bhwc));
}

StageModules PvtV2::stage_modules(std::size_t index) const {
  return modules_of_stage(index, patch_embed_.ptr(), stages_);
}

Normalization PvtV2::normalization() const { return imagenet_normalization; }

std::vector<std::string> PvtV2::head_prefixes() const { return {"head."}; }

}  // namespace codmoe::backbone
