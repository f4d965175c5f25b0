#include "benchmarks/old_forms.h"

#include <ATen/ATen.h>
#include <fmt/format.h>
#include <torch/nn/modules/container/modulelist.h>

#include <cmath>

#include "benchmarks/case.h"
#include "codmoe/experts/registry.h"
#include "codmoe/nn/weights.h"

namespace codmoe::bench {

using experts::Source;

namespace {

at::Tensor average(const at::Tensor& x_bchw, int64_t kernel) { return at::avg_pool2d(x_bchw, kernel, 1, kernel / 2); }

}  // namespace

TwicePooledFrequency::TwicePooledFrequency(const experts::ExpertOptions& options)
    : BranchedExpert(options, {{Source::low, {.in = options.dim, .out = experts::branch_widths(options.dim)[0]}},
                               {Source::mid, {.in = options.dim, .out = experts::branch_widths(options.dim)[1]}},
                               {Source::high, {.in = options.dim, .out = experts::branch_widths(options.dim)[2]}},
                               {Source::input, {.in = options.dim, .out = experts::branch_widths(options.dim)[3]}}}) {}

std::vector<at::Tensor> TwicePooledFrequency::sources(const at::Tensor& x_bchw) const {
  const auto low = average(x_bchw, 3);
  return {low, low - average(x_bchw, 5), x_bchw - average(x_bchw, 3), x_bchw};
}

SeparableContrast::SeparableContrast(const experts::ExpertOptions& options) {
  const int64_t dim = options.dim;
  const std::vector<nn::ConvShape> shapes = {
      {.in = dim, .out = dim, .kernel = 3, .groups = dim}, {.in = dim, .out = dim}, {.in = dim, .out = dim}};
  auto list = register_module("convs", torch::nn::ModuleList());
  for (std::size_t i = 0; i < shapes.size(); ++i) {
    description_.convs.push_back(
        {fmt::format("convs.{}.conv", i), i == 0 ? Source::input : Source::previous, shapes[i]});
    convs_.emplace_back(shapes[i], options.norm);
    list->push_back(convs_.back());
  }
}

at::Tensor SeparableContrast::forward(const at::Tensor& x_bchw, const nn::SampleMask& mask_b) {
  auto y_bchw = x_bchw;
  for (auto& conv : convs_) y_bchw = conv->forward(y_bchw, mask_b);
  return y_bchw + x_bchw;
}

LiteralAttention::LiteralAttention(const experts::ExpertOptions& options)
    : heads_(nn::largest_divisor_up_to_8(options.dim)) {
  const int64_t dim = options.dim;
  const nn::ConvShape qkv{.in = dim, .out = 3 * dim}, proj{.in = dim, .out = dim};
  description_.convs = {{.name = "qkv", .source = Source::previous, .shape = qkv, .bias = true},
                        {.name = "proj", .source = Source::branches, .shape = proj, .bias = true}};
  // A head's products are of its own width: all of them cost what one of width C does.
  description_.attention_heads = 1;
  norm_ = register_module("norm", nn::Norm(options.norm, dim));
  qkv_ = register_module("qkv", nn::make_conv(qkv, /*bias=*/true));
  proj_ = register_module("proj", nn::make_conv(proj, /*bias=*/true));
}

at::Tensor LiteralAttention::forward(const at::Tensor& x_bchw, const nn::SampleMask& mask_b) {
  const int64_t batch = x_bchw.size(0), dim = x_bchw.size(1), width = dim / heads_;
  const auto qkv_b3hwn = qkv_->forward(norm_->forward(x_bchw, mask_b)).reshape({batch, 3, heads_, width, -1});
  const auto query_bh1w = qkv_b3hwn.select(1, 0).mean(-1).unsqueeze(2);
  const auto scores_bh1n = at::matmul(query_bh1w, qkv_b3hwn.select(1, 1)) / std::sqrt(static_cast<double>(width));
  const auto answer_bh1w = at::matmul(scores_bh1n.softmax(-1), qkv_b3hwn.select(1, 2).transpose(-1, -2));
  return proj_->forward(answer_bh1w.reshape({batch, dim, 1, 1}).expand_as(x_bchw)) + x_bchw;
}

std::vector<ExpertForm> make_forms(const std::string& expert, const experts::ExpertOptions& options) {
  std::vector<ExpertForm> forms = {{"new", experts::make_expert(expert, options)}};
  if (expert == "frequency") forms.push_back({"pooled twice", std::make_shared<TwicePooledFrequency>(options)});
  if (expert == "attention") forms.push_back({"literal", std::make_shared<LiteralAttention>(options)});
  if (expert == "contrast") {
    forms.push_back({"depthwise + two 1x1", std::make_shared<SeparableContrast>(options), /*same_function=*/false});
  }
  for (auto& form : forms) randomize_norms(*form.module);
  const auto weights = nn::state_dict(*forms.front().module);
  for (auto& form : forms) {
    if (form.same_function) nn::load_state(*form.module, weights);
  }
  return forms;
}

}  // namespace codmoe::bench
