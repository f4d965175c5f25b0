#include "codmoe/backbone/edgenext.h"

#include <ATen/ATen.h>
#include <torch/nn/functional/normalization.h>
#include <torch/nn/modules/container/modulelist.h>
#include <torch/nn/modules/conv.h>
#include <torch/nn/modules/linear.h>

#include <cmath>
#include <numbers>
#include <optional>

#include "channels_last.h"
#include "codmoe/nn/drop_path.h"
#include "convnext_parts.h"

namespace codmoe::backbone {

namespace {

/// What differs between stages apart from their depth.
struct EdgeNeXtBlockShape {
  int64_t channels;
  int64_t kernel;  ///< of depthwise convolutions in blocks without attention
  int64_t scales;  ///< groups of channels before attention
  int64_t heads;
  bool has_attention;
  bool has_positions;
};
constexpr std::array<int64_t, 4> edgenext_kernels{3, 5, 7, 9};
constexpr std::array<int64_t, 4> edgenext_scales{2, 2, 3, 4};

/// What both kinds of block end in: norm, feed-forward layer, scale of each channel.
class EdgeNeXtBlock : public torch::nn::Module {
 public:
  explicit EdgeNeXtBlock(int64_t channels)
      : norm_(register_module("norm", make_layer_norm(channels, convnext_eps))),
        mlp_(register_module("mlp", std::make_shared<ConvNeXtMlp>(channels))),
        gamma_(register_parameter("gamma", initial_gamma(channels))),
        drop_path_(register_module("drop_path", nn::DropPath())) {}

 protected:
  /// One rate for all branches of a block.
  at::Tensor drop_path(const at::Tensor& branch_bhwc) { return drop_path_(branch_bhwc); }

  at::Tensor add_feed_forward(const at::Tensor& shortcut_bhwc, const at::Tensor& x_bhwc) {
    return at::addcmul(shortcut_bhwc, gamma_, drop_path(mlp_->forward(norm_(x_bhwc))));
  }

 private:
  torch::nn::LayerNorm norm_;
  std::shared_ptr<ConvNeXtMlp> mlp_;
  at::Tensor gamma_;
  nn::DropPath drop_path_;
};

/// A depthwise convolution, as ConvNeXt's (section 3.1 of the paper): [B, H, W, C] -> [B, H, W, C].
class EdgeNeXtConvBlock : public EdgeNeXtBlock {
 public:
  explicit EdgeNeXtConvBlock(const EdgeNeXtBlockShape& shape)
      : EdgeNeXtBlock(shape.channels),
        conv_dw_(register_module("conv_dw", make_depthwise_conv(shape.channels, shape.kernel))) {}

  at::Tensor forward(const at::Tensor& x_bhwc) {
    return add_feed_forward(x_bhwc, to_channels_last(conv_dw_(to_channels_second(x_bhwc))));
  }

 private:
  torch::nn::Conv2d conv_dw_;
};

/// Sines and cosines of a position's row and column, relative to the map's size, and a linear layer.
class EdgeNeXtPositions : public torch::nn::Module {
 public:
  explicit EdgeNeXtPositions(int64_t channels)
      : token_projection_(register_module("token_projection",
                                          torch::nn::Conv2d(torch::nn::Conv2dOptions(2 * encoding, channels, 1)))) {}

  /// -> [H, W, C]: the layer is linear, so rows and columns go through it apart.
  at::Tensor forward(int64_t height, int64_t width) {
    const auto weight = token_projection_->weight.flatten(1);
    const auto rows_hc = at::linear(encode(height), weight.narrow(1, 0, encoding), token_projection_->bias);
    const auto columns_wc = at::linear(encode(width), weight.narrow(1, encoding, encoding));
    return rows_hc.unsqueeze(1) + columns_wc;
  }

 private:
  static constexpr int64_t encoding = 32;  ///< numbers that stand for a row, or a column

  /// [N, encoding] of the weight's dtype, from angles in float32 whatever it is, as timm.
  at::Tensor encode(int64_t count) const {
    const auto& weight = token_projection_->weight;
    const auto options = weight.options().dtype(at::kFloat);
    const auto index_n = at::arange(1, count + 1, options);
    const auto turn_n = index_n / (index_n.narrow(0, count - 1, 1) + 1e-6) * (2.0 * std::numbers::pi);
    const auto period_p = at::pow(1e4, at::arange(encoding / 2, options) * 2.0 / encoding);
    const auto angle_np = turn_n.unsqueeze(1) / period_p;
    return at::stack({angle_np.sin(), angle_np.cos()}, 2).flatten(1).to(weight.scalar_type());
  }

  torch::nn::Conv2d token_projection_;
};

/// Attention between a head's channels, by their similarity over all positions (El-Nouby et al. 2021,
/// arXiv:2106.09681): [B, H, W, C] -> [B, H, W, C] at a cost linear in the pixels.
class EdgeNeXtAttention : public torch::nn::Module {
 public:
  EdgeNeXtAttention(int64_t channels, int64_t heads)
      : heads_(heads),
        qkv_(register_module("qkv", torch::nn::Linear(channels, 3 * channels))),
        proj_(register_module("proj", torch::nn::Linear(channels, channels))),
        temperature_(register_parameter("temperature", at::ones({heads, 1, 1}))) {
    TORCH_CHECK(channels % heads == 0, "EdgeNeXt: ", heads, " heads don't divide ", channels, " channels");
  }

  at::Tensor forward(const at::Tensor& x_bhwc) {
    namespace F = torch::nn::functional;
    const auto batch = x_bhwc.size(0), channels = x_bhwc.size(3);
    const auto qkv_bn3hd = qkv_(x_bhwc).reshape({batch, -1, 3, heads_, channels / heads_});
    const auto qkv_3bhdn = qkv_bn3hd.permute({2, 0, 3, 4, 1});
    const auto over_positions = F::NormalizeFuncOptions().dim(-1);
    const auto q_bhdn = F::normalize(qkv_3bhdn[0], over_positions), k_bhdn = F::normalize(qkv_3bhdn[1], over_positions);
    const auto weights_bhdd = (at::matmul(q_bhdn, k_bhdn.transpose(-2, -1)) * temperature_).softmax(-1);
    const auto y_bhdn = at::matmul(weights_bhdd, qkv_3bhdn[2]);
    return proj_(y_bhdn.permute({0, 3, 1, 2}).reshape(x_bhwc.sizes()));
  }

 private:
  int64_t heads_;
  torch::nn::Linear qkv_, proj_;
  at::Tensor temperature_;
};

/// Split depthwise transpose attention (section 3.2 of the paper): [B, H, W, C] -> [B, H, W, C].
class EdgeNeXtAttentionBlock : public EdgeNeXtBlock {
 public:
  explicit EdgeNeXtAttentionBlock(const EdgeNeXtBlockShape& shape)
      : EdgeNeXtBlock(shape.channels),
        norm_xca_(register_module("norm_xca", make_layer_norm(shape.channels, convnext_eps))),
        gamma_xca_(register_parameter("gamma_xca", initial_gamma(shape.channels))),
        xca_(register_module("xca", std::make_shared<EdgeNeXtAttention>(shape.channels, shape.heads))) {
    const auto width = (shape.channels + shape.scales - 1) / shape.scales;
    for (int64_t i = 0; i < shape.scales - 1; ++i) convs_->push_back(make_depthwise_conv(width, 3));
    register_module("convs", convs_);
    if (shape.has_positions) {
      pos_embd_ = register_module("pos_embd", std::make_shared<EdgeNeXtPositions>(shape.channels));
    }
  }

  at::Tensor forward(const at::Tensor& x_bhwc) {
    auto y = to_channels_last(mix_scales(to_channels_second(x_bhwc)));
    if (pos_embd_) y = y + pos_embd_->forward(y.size(1), y.size(2));
    y = at::addcmul(y, gamma_xca_, drop_path(xca_->forward(norm_xca_(y))));
    return add_feed_forward(x_bhwc, y);
  }

 private:
  /// Res2Net's hierarchy: each group of channels but the last is convolved together with the result of the one before.
  at::Tensor mix_scales(const at::Tensor& x_bchw) {
    auto parts = x_bchw.chunk(static_cast<int64_t>(convs_->size()) + 1, 1);
    for (std::size_t i = 0; i < convs_->size(); ++i) {
      const auto input = i == 0 ? parts[i] : parts[i - 1] + parts[i];
      parts[i] = convs_[i]->as<torch::nn::Conv2d>()->forward(input);
    }
    return at::cat(parts, 1);
  }

  torch::nn::ModuleList convs_;
  std::shared_ptr<EdgeNeXtPositions> pos_embd_;
  torch::nn::LayerNorm norm_xca_;
  at::Tensor gamma_xca_;
  std::shared_ptr<EdgeNeXtAttention> xca_;
};

/// Halves the map (but for the first stage, which has no `in`), then blocks: [B, H, W, in] -> [B, H', W', C].
class EdgeNeXtStage : public torch::nn::Module {
 public:
  EdgeNeXtStage(std::optional<int64_t> in, int64_t depth, const EdgeNeXtBlockShape& shape) {
    if (in) downsample_ = register_module("downsample", make_downsample(*in, shape.channels));
    const int64_t convolutional = depth - (shape.has_attention ? 1 : 0);
    for (int64_t i = 0; i < convolutional; ++i) blocks_->push_back(EdgeNeXtConvBlock(shape));
    if (shape.has_attention) blocks_->push_back(EdgeNeXtAttentionBlock(shape));
    register_module("blocks", blocks_);
  }

  at::Tensor forward(const at::Tensor& x_bhwc) {
    return blocks_->forward(downsample_->is_empty() ? x_bhwc : apply_downsample(downsample_, x_bhwc));
  }

 private:
  torch::nn::Sequential downsample_;
  torch::nn::Sequential blocks_;
};

/// Weights from 0.02 times a normal distribution cut off at ±2, biases 0, as timm.
template <class Layer>
void init_truncated(Layer& layer) {
  const double bound = std::erf(std::numbers::sqrt2);  // ±2 deviations
  layer.weight.uniform_(-bound, bound).erfinv_().mul_(0.02 * std::numbers::sqrt2);
  layer.bias.zero_();
}

}  // namespace

EdgeNeXt::EdgeNeXt(const EdgeNeXtOptions& options)
    : stem_(register_module("stem", make_stem(options.channels[0]))),
      channels_(options.channels.begin(), options.channels.end()) {
  std::optional<int64_t> in;
  for (std::size_t i = 0; i < channels_.size(); ++i) {
    const EdgeNeXtBlockShape shape{.channels = channels_[i],
                                   .kernel = edgenext_kernels[i],
                                   .scales = edgenext_scales[i],
                                   .heads = options.heads,
                                   .has_attention = i > 0,
                                   .has_positions = i == 1};
    stages_->push_back(EdgeNeXtStage(in, options.depths[i], shape));
    in = channels_[i];
  }
  register_module("stages", stages_);
  init_layers(*this, [](auto& layer) { init_truncated(layer); });
}

at::Tensor EdgeNeXt::stage(std::size_t index, const at::Tensor& x_bchw) {
  const auto x_bhwc = index == 0 ? apply_stem(stem_, x_bchw) : to_channels_last(x_bchw);
  return to_channels_second(stages_->at<EdgeNeXtStage>(index).forward(x_bhwc));
}

StageModules EdgeNeXt::stage_modules(std::size_t index) const { return modules_of_stage(index, stem_.ptr(), stages_); }

Normalization EdgeNeXt::normalization() const { return imagenet_normalization; }

std::vector<std::string> EdgeNeXt::head_prefixes() const { return {"head."}; }

}  // namespace codmoe::backbone
