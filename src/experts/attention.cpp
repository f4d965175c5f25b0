#include "codmoe/experts/attention.h"

#include <ATen/ATen.h>

#include <cmath>

namespace codmoe::experts {

AttentionExpert::AttentionExpert(const ExpertOptions& options)
    : dim_(options.dim), heads_(nn::largest_divisor_up_to_8(options.dim)) {
  const nn::ConvShape qkv{.in = dim_, .out = 3 * dim_}, proj{.in = dim_, .out = dim_};
  description_.convs = {{.name = "qkv", .source = Source::pooled, .shape = qkv, .bias = true},
                        {.name = "proj", .source = Source::pooled, .shape = proj, .bias = true}};
  description_.input_norm = "norm";
  description_.attention_heads = heads_;
  norm_ = register_module("norm", nn::Norm(options.norm, dim_));
  qkv_ = register_module("qkv", nn::make_conv(qkv, /*bias=*/true));
  proj_ = register_module("proj", nn::make_conv(proj, /*bias=*/true));
}

at::Tensor AttentionExpert::forward(const at::Tensor& x_bchw, const nn::SampleMask& mask_b) {
  const int64_t batch = x_bchw.size(0), width = dim_ / heads_;
  const auto x_bcn = norm_->forward(x_bchw, mask_b).flatten(2);
  const auto weight = qkv_->weight.view({3, heads_, width, dim_});
  const auto bias = qkv_->bias.view({3, heads_, width});

  const auto mean_bc = x_bcn.mean(2);
  const auto query_bhw = at::einsum("hwc,bc->bhw", {weight[0], mean_bc}) + bias[0];
  // The key's bias adds the same to every position of a head, which softmax ignores.
  const auto folded_bhc = at::einsum("bhw,hwc->bhc", {query_bhw, weight[1]});
  const auto scores_bhn = at::bmm(folded_bhc, x_bcn) / std::sqrt(static_cast<double>(width));
  const auto seen_bhc = at::bmm(scores_bhn.softmax(2), x_bcn.transpose(1, 2));
  const auto answer_bhw = at::einsum("bhc,hwc->bhw", {seen_bhc, weight[2]}) + bias[2];

  return proj_->forward(answer_bhw.reshape({batch, dim_, 1, 1})) + x_bchw;
}

}  // namespace codmoe::experts
