#include "codmoe/backbone/tiny.h"

#include <ATen/ATen.h>
#include <torch/nn/modules/activation.h>
#include <torch/nn/modules/batchnorm.h>
#include <torch/nn/modules/container/modulelist.h>
#include <torch/nn/modules/conv.h>

#include "codmoe/nn/batch_norm_act.h"
#include "codmoe/nn/init.h"

namespace codmoe::backbone {

namespace {

/// From this stage on the residual blocks are depthwise-separable.
constexpr std::size_t first_separable_stage = 2;

struct Conv {
  int64_t in;
  int64_t out;
  int64_t kernel;
  int64_t stride = 1;
  int64_t groups = 1;
};

/// LibTorch's own forward pass knows statistics of this process alone.
class Norm : public torch::nn::BatchNorm2dImpl {
 public:
  using BatchNorm2dImpl::BatchNorm2dImpl;
  at::Tensor forward(const at::Tensor& x_bchw) { return nn::batch_norm_act(*this, x_bchw); }
};

/// Convolution, batch norm and, where asked for, ReLU.
void append(torch::nn::Sequential& sequence, const Conv& conv, bool activation) {
  sequence->push_back(torch::nn::Conv2d(torch::nn::Conv2dOptions(conv.in, conv.out, conv.kernel)
                                            .stride(conv.stride)
                                            .padding(conv.kernel / 2)
                                            .groups(conv.groups)
                                            .bias(false)));
  sequence->push_back(std::make_shared<Norm>(conv.out));
  if (activation) sequence->push_back(torch::nn::ReLU(torch::nn::ReLUOptions().inplace(true)));
}

/// relu(x + body(x)).
class Residual : public torch::nn::Module {
 public:
  explicit Residual(torch::nn::Sequential body) : body_(register_module("body", std::move(body))) {}
  at::Tensor forward(const at::Tensor& x_bchw) { return at::relu_(body_->forward(x_bchw).add_(x_bchw)); }

 private:
  torch::nn::Sequential body_;
};

torch::nn::Sequential make_body(int64_t channels, bool separable) {
  torch::nn::Sequential body;
  if (separable) {
    append(body, {.in = channels, .out = channels, .kernel = 5, .groups = channels}, true);
    append(body, {.in = channels, .out = channels, .kernel = 1}, false);
  } else {
    append(body, {.in = channels, .out = channels, .kernel = 3}, false);
  }
  return body;
}

}  // namespace

Tiny::Tiny(const TinyOptions& options) : channels_(options.channels) {
  TORCH_CHECK_VALUE(channels_.size() == strides.size(), "Tiny: needs one channel count a stride, got ",
                    channels_.size());
  stem_ = torch::nn::Sequential();
  append(stem_, {.in = 3, .out = options.stem, .kernel = 5, .stride = 2}, true);
  append(stem_, {.in = options.stem, .out = options.stem, .kernel = 3}, true);
  register_module("stem", stem_);
  torch::nn::ModuleList stages;
  int64_t in = options.stem;
  for (std::size_t i = 0; i < channels_.size(); ++i) {
    torch::nn::Sequential stage;
    append(stage, {.in = in, .out = channels_[i], .kernel = 3, .stride = 2}, true);
    stage->push_back(Residual(make_body(channels_[i], i >= first_separable_stage)));
    stages_.push_back(stage);
    stages->push_back(stage);
    in = channels_[i];
  }
  register_module("stages", stages);
  nn::init_fan_out(*this);
}

at::Tensor Tiny::stage(std::size_t index, const at::Tensor& x_bchw) {
  return stages_[index]->forward(index == 0 ? stem_->forward(x_bchw) : x_bchw);
}

StageModules Tiny::stage_modules(std::size_t index) const {
  StageModules modules{stages_[index].ptr()};
  if (index == 0) modules.push_back(stem_.ptr());
  return modules;
}

Normalization Tiny::normalization() const { return {.mean = {0.5, 0.5, 0.5}, .std = {0.25, 0.25, 0.25}}; }

}  // namespace codmoe::backbone
