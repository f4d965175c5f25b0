#include "codmoe/backbone/resnet.h"

#include <ATen/ATen.h>
#include <torch/nn/init.h>
#include <torch/nn/modules/container/modulelist.h>

#include "codmoe/nn/batch_norm_act.h"
#include "codmoe/nn/drop_path.h"
#include "codmoe/nn/init.h"

namespace codmoe::backbone {

namespace {

constexpr int64_t first_width = 64;  ///< of the stem and of layer1; each later stage doubles it

/// Keeps the size where the stride is 1, else halves it, rounding up.
torch::nn::Conv2d make_resnet_conv(int64_t in, int64_t out, int64_t kernel, int64_t stride = 1) {
  return torch::nn::Conv2d(torch::nn::Conv2dOptions(in, out, kernel).stride(stride).padding(kernel / 2).bias(false));
}

/// relu(norm(x))
at::Tensor norm_relu(torch::nn::BatchNorm2d& norm, const at::Tensor& x_bchw) {
  return nn::batch_norm_act(*norm, x_bchw, ops::Activation::relu);
}

/// Where a block begins and ends.
struct BlockShape {
  int64_t in;
  int64_t width;
  int64_t out;
  int64_t stride;

  bool changes() const { return stride > 1 || in != out; }
};

/// relu(branch(x) + shortcut(x)); the shortcut is a 1x1 convolution with a norm where the shape changes.
class ResidualBlock : public torch::nn::Module {
 public:
  at::Tensor forward(const at::Tensor& x_bchw) {
    return at::relu_(drop_path_(branch(x_bchw)).add_(downsample_.is_empty() ? x_bchw : downsample_->forward(x_bchw)));
  }

  /// Zero for the branch's last scale: the block then begins as its shortcut (Goyal et al. 2017, arXiv:1706.02677).
  void begin_as_shortcut() { torch::nn::init::zeros_(last_norm().weight); }

 protected:
  explicit ResidualBlock(const BlockShape& shape) : drop_path_(register_module("drop_path", nn::DropPath())) {
    if (!shape.changes()) return;
    downsample_ = torch::nn::Sequential(make_resnet_conv(shape.in, shape.out, 1, shape.stride),
                                        torch::nn::BatchNorm2d(shape.out));
    register_module("downsample", downsample_);
  }

  virtual at::Tensor branch(const at::Tensor& x_bchw) = 0;
  virtual torch::nn::BatchNorm2dImpl& last_norm() = 0;

 private:
  nn::DropPath drop_path_;
  torch::nn::Sequential downsample_{nullptr};
};

class BasicBlock : public ResidualBlock {
 public:
  explicit BasicBlock(const BlockShape& shape)
      : ResidualBlock(shape),
        conv1_(register_module("conv1", make_resnet_conv(shape.in, shape.width, 3, shape.stride))),
        bn1_(register_module("bn1", torch::nn::BatchNorm2d(shape.width))),
        conv2_(register_module("conv2", make_resnet_conv(shape.width, shape.out, 3))),
        bn2_(register_module("bn2", torch::nn::BatchNorm2d(shape.out))) {}

 protected:
  at::Tensor branch(const at::Tensor& x_bchw) override {
    return nn::batch_norm_act(*bn2_, conv2_(norm_relu(bn1_, conv1_(x_bchw))));
  }
  torch::nn::BatchNorm2dImpl& last_norm() override { return *bn2_; }

 private:
  torch::nn::Conv2d conv1_;
  torch::nn::BatchNorm2d bn1_;
  torch::nn::Conv2d conv2_;
  torch::nn::BatchNorm2d bn2_;
};

class Bottleneck : public ResidualBlock {
 public:
  explicit Bottleneck(const BlockShape& shape)
      : ResidualBlock(shape),
        conv1_(register_module("conv1", make_resnet_conv(shape.in, shape.width, 1))),
        bn1_(register_module("bn1", torch::nn::BatchNorm2d(shape.width))),
        conv2_(register_module("conv2", make_resnet_conv(shape.width, shape.width, 3, shape.stride))),
        bn2_(register_module("bn2", torch::nn::BatchNorm2d(shape.width))),
        conv3_(register_module("conv3", make_resnet_conv(shape.width, shape.out, 1))),
        bn3_(register_module("bn3", torch::nn::BatchNorm2d(shape.out))) {}

 protected:
  at::Tensor branch(const at::Tensor& x_bchw) override {
    const auto y = norm_relu(bn1_, conv1_(x_bchw));
    return nn::batch_norm_act(*bn3_, conv3_(norm_relu(bn2_, conv2_(y))));
  }
  torch::nn::BatchNorm2dImpl& last_norm() override { return *bn3_; }

 private:
  torch::nn::Conv2d conv1_;
  torch::nn::BatchNorm2d bn1_;
  torch::nn::Conv2d conv2_;
  torch::nn::BatchNorm2d bn2_;
  torch::nn::Conv2d conv3_;
  torch::nn::BatchNorm2d bn3_;
};

/// All groups of channels but the last have a 3x3 convolution, which takes the previous group's result as well: later
/// groups see further. A stage's first block has its groups side by side instead, and pools the last one.
class Res2NetBlock : public ResidualBlock {
 public:
  Res2NetBlock(const BlockShape& shape, int64_t scales, int64_t scale_width)
      : ResidualBlock(shape),
        width_(shape.width * scale_width / first_width),
        stride_(shape.stride),
        is_first_(shape.changes()),
        conv1_(register_module("conv1", make_resnet_conv(shape.in, width_ * scales, 1))),
        bn1_(register_module("bn1", torch::nn::BatchNorm2d(width_ * scales))),
        conv3_(register_module("conv3", make_resnet_conv(width_ * scales, shape.out, 1))),
        bn3_(register_module("bn3", torch::nn::BatchNorm2d(shape.out))) {
    torch::nn::ModuleList convs;
    torch::nn::ModuleList norms;
    for (int64_t i = 0; i + 1 < scales; ++i) {
      convs_.push_back(make_resnet_conv(width_, width_, 3, stride_));
      norms_.push_back(torch::nn::BatchNorm2d(width_));
      convs->push_back(convs_.back());
      norms->push_back(norms_.back());
    }
    register_module("convs", convs);
    register_module("bns", norms);
  }

 protected:
  at::Tensor branch(const at::Tensor& x_bchw) override {
    auto groups = norm_relu(bn1_, conv1_(x_bchw)).split(width_, 1);
    for (std::size_t i = 0; i < convs_.size(); ++i) {
      const auto x = i == 0 || is_first_ ? groups[i] : groups[i - 1] + groups[i];
      groups[i] = norm_relu(norms_[i], convs_[i](x));
    }
    // Zeros of the padding count in the mean, as they did where timm's weights were trained.
    if (is_first_) groups.back() = at::avg_pool2d(groups.back(), 3, stride_, 1);
    return nn::batch_norm_act(*bn3_, conv3_(at::cat(groups, 1)));
  }
  torch::nn::BatchNorm2dImpl& last_norm() override { return *bn3_; }

 private:
  int64_t width_;  ///< channels of a group
  int64_t stride_;
  bool is_first_;
  torch::nn::Conv2d conv1_;
  torch::nn::BatchNorm2d bn1_;
  std::vector<torch::nn::Conv2d> convs_;
  std::vector<torch::nn::BatchNorm2d> norms_;
  torch::nn::Conv2d conv3_;
  torch::nn::BatchNorm2d bn3_;
};

std::shared_ptr<ResidualBlock> make_block(const ResNetOptions& options, const BlockShape& shape) {
  switch (options.block) {
    case ResNetBlock::basic:
      return std::make_shared<BasicBlock>(shape);
    case ResNetBlock::bottleneck:
      return std::make_shared<Bottleneck>(shape);
    case ResNetBlock::res2net:
      return std::make_shared<Res2NetBlock>(shape, options.scales, options.scale_width);
  }
  TORCH_CHECK(false, "ResNet: unknown block");
}

}  // namespace

ResNet::ResNet(const ResNetOptions& options)
    : conv1_(register_module("conv1", make_resnet_conv(3, first_width, 7, 2))),
      bn1_(register_module("bn1", torch::nn::BatchNorm2d(first_width))) {
  std::vector<std::shared_ptr<ResidualBlock>> blocks;
  int64_t in = first_width;
  for (std::size_t i = 0; i < options.depths.size(); ++i) {
    const int64_t width = first_width << i;
    const int64_t out = options.block == ResNetBlock::basic ? width : 4 * width;
    torch::nn::Sequential layer;
    for (int64_t j = 0; j < options.depths[i]; ++j) {
      // Only a stage's first block changes stride and channels.
      blocks.push_back(make_block(options, {in, width, out, i > 0 && j == 0 ? 2 : 1}));
      layer->push_back(blocks.back());
      in = out;
    }
    layers_.push_back(register_module("layer" + std::to_string(i + 1), layer));
    channels_.push_back(out);
  }
  nn::init_fan_out(*this);
  for (const auto& block : blocks) block->begin_as_shortcut();
}

at::Tensor ResNet::stage(std::size_t index, const at::Tensor& x_bchw) {
  if (index > 0) return layers_[index]->forward(x_bchw);
  const auto x = at::max_pool2d(norm_relu(bn1_, conv1_(x_bchw)), /*kernel_size=*/3, /*stride=*/2, /*padding=*/1);
  return layers_[0]->forward(x);
}

StageModules ResNet::stage_modules(std::size_t index) const {
  StageModules modules{layers_[index].ptr()};
  if (index == 0) modules.insert(modules.end(), {conv1_.ptr(), bn1_.ptr()});
  return modules;
}

Normalization ResNet::normalization() const { return imagenet_normalization; }

}  // namespace codmoe::backbone
