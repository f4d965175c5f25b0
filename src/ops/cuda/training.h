// What the training kernels are told: plain data and offsets, no torch. Forward and backward are two lists of kernels
// on one stream; as in inference an image's k experts have fixed slots b * k + j, and what a slot has to do is looked
// up on the device, so the host never waits.
//
// Parameters are copied once a step: weights in the element type, as [out, taps, in] and reversed as [in, taps, out]
// with the taps mirrored (the convolution that carries gradients back), vectors as float.
#pragma once

#include "fused_moe.h"
#include "parameter.h"

namespace codmoe::ops::cuda {

constexpr int kMaxBranches = 4;  ///< convolutions that share one norm of width C
constexpr int kMaxBatch = 1024;  ///< of training: an expert's slots are listed in shared memory
constexpr int kNorms = 2;        ///< of an expert: 0 before the fusion (or of attention's input), 1 after it

/// A convolution of one expert; parameters are indices into Training::parameters, -1: absent.
struct TrainConv {
  int weight = -1, bias = -1;
  int in = 0, out = 0, kernel = 1, dilation = 1;
  int source = -1, source_channel = 0;  ///< as in Conv
  int target = 0, target_channel = 0;
  int norm = -1;  ///< 0 or 1: its result is normed; its channels there start at target_channel
  int gamma = -1, beta = -1;
  int normed = 0;  ///< channels of the norm's own, before they were widened
  void* running_mean = nullptr;
  void* running_var = nullptr;
  long long* batches = nullptr;  ///< counts the updates
  bool bfloat16_running = false;
};

struct TrainExpert {
  TrainConv convs[kMaxConvs];
  int conv_count = 0;
  TrainConv fusion;
  Stencil stencil = Stencil::none;
  TrainConv depthwise;
  int gate_reduce = -1, gate_reduce_bias = -1, gate_expand = -1,
      gate_expand_bias = -1;  ///< parameters; hidden = C / 4, widened
  int hidden = 0;             ///< 0: no gate
  int heads = 0;              ///< 0: no attention; else kHeads, and only what follows applies
  int qkv = -1, qkv_bias = -1, proj = -1, proj_bias = -1;
  TrainConv input_norm;  ///< gamma, beta and running statistics alone; norm 0
};

/// Gradients of the router's results, each null where there is none.
struct ChoiceGradient {
  const float* logits = nullptr;   ///< [B, E]
  const float* probs = nullptr;    ///< [B, E]
  const float* weights = nullptr;  ///< [B, k]
};

struct Training {
  Shape shape;
  Math math = Math::bfloat16;
  float eps = 1e-5F, momentum = 0.1F;
  Router router;
  const float* noise = nullptr;  ///< [B, E], added to the clamped logits, or null
  TrainExpert experts[kMaxExperts];
  Parameter parameters[kMaxParameters];
  int parameter_count = 0, tile_count = 0;
  const void* x = nullptr;  ///< [B, H, W, C]
  void* y = nullptr;
  Choice choice;
  // Backward alone.
  const void* y_gradient = nullptr;  ///< [B, H, W, C]
  void* x_gradient = nullptr;        ///< [B, H, W, C]
  ChoiceGradient choice_gradient;
  float* router_weight_gradient = nullptr;  ///< [E, C]
  float* router_bias_gradient = nullptr;    ///< [E]
};

}  // namespace codmoe::ops::cuda
