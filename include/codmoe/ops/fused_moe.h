// The whole sparse layer, router included, as a few kernels without host synchronisation: five in inference, about a
// dozen each for training's forward and backward.
#pragma once

#include <ATen/core/Tensor.h>

#include <cstdint>
#include <string>
#include <vector>

namespace codmoe::ops {

/// What follows a convolution: the norm's running statistics or a bias, then GELU, then the gate's value of the
/// channel. Undefined tensors are absent.
struct FusedEpilogue {
  at::Tensor gamma, beta, mean, var;  ///< [out]
  at::Tensor batches = {};            ///< int64, counts the updates of the running statistics
  at::Tensor bias;                    ///< [out]
  bool gelu = false;
  bool gated = false;
};

/// A convolution of stride 1 and zero padding from one map of [C, H, W] to channels of another.
struct FusedConv {
  at::Tensor weight;  ///< [out, in, k, k]
  int64_t dilation = 1;
  int64_t source = -1;  ///< -1: x; 1 to 3: the expert's own maps
  int64_t source_channel = 0;
  int64_t target = 0;  ///< 0: what the fusion reads; 1: an own map
  int64_t target_channel = 0;
  FusedEpilogue epilogue = {};
};

/// What fills an expert's own maps 1 to 3 before its convolutions.
enum class FusedStencil { none, bands, edges, depthwise };

/// An expert's tensors in the order they are used; y = f(x) + x.
struct FusedExpert {
  std::vector<FusedConv> convs;
  FusedStencil stencil = FusedStencil::none;
  FusedConv depthwise;                 ///< weight [C, 1, k, k], of FusedStencil::depthwise
  FusedConv fusion;                    ///< 1x1 on map 0; its result is f(x)
  FusedConv gate_reduce, gate_expand;  ///< of the mean of x; undefined weights: no gate
  int64_t attention_heads = 0;         ///< above 0: f(x) is attention with a pooled query, and nothing above applies
  FusedEpilogue attention_norm;
  FusedConv qkv, proj;
};

struct FusedRouter {
  at::Tensor weight, bias;         ///< float32 [E, C], [E]
  at::Tensor selection_bias = {};  ///< float32 [E], or undefined
  double logit_limit = 10.0;
  double temperature = 1.0;
  int64_t top_k = 1;
  at::Tensor noise = {};  ///< float32 [B, E], added to the clamped logits in training; or undefined
};

struct FusedResult {
  at::Tensor y_bchw;                  ///< x's shape and dtype, channels last
  at::Tensor logits_be, probs_be;     ///< float32
  at::Tensor indices_bk, weights_bk;  ///< int64, float32
};

/// Why `fused_moe` cannot take this input, or nothing: it wants a CUDA device of compute capability 8.0 or later with
/// 110 KiB of shared memory a block (8.0 and 9.0 have it), float32 or bfloat16, C a multiple of 8 up to 512, and at
/// most 8 experts, whose weights have at most 32767 filters, channels or taps. The kernels compute with multiples of 32
/// channels; where C is none, x is copied and experts' branches must be equally wide.
std::string fused_moe_refusal(const at::Tensor& x_bchw, const std::vector<FusedExpert>& experts);

/// Evaluation only: no gradients, norms by their running statistics. Products are formed in bfloat16 for bfloat16 x;
/// for float32 x in TF32 where that is allowed for convolutions, else in float32. Sums are float32, with no atomics on
/// them: the same input gives the same bits. Capturable in a CUDA graph; routes may differ between replays.
FusedResult fused_moe(const at::Tensor& x_bchw, const FusedRouter& router, const std::vector<FusedExpert>& experts);

/// Why `fused_moe_training` cannot take this, or nothing: beyond what fused_moe_refusal says it takes at most 1024
/// images and 128 parameter tensors of float32 or bfloat16, and experts of the built-in ones' forms.
std::string fused_moe_training_refusal(const at::Tensor& x_bchw, const std::vector<FusedExpert>& experts);

/// Training: an expert's norms take their statistics from the images that chose it and update its running ones; without
/// images they stay. Differentiable once in x, the router's weight and bias and every parameter of the experts; sums
/// have a fixed order, so the same input gives the same gradients. Otherwise as fused_moe.
FusedResult fused_moe_training(const at::Tensor& x_bchw, const FusedRouter& router,
                               const std::vector<FusedExpert>& experts);

}  // namespace codmoe::ops
