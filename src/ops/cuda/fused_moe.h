// What the fused layer's kernels are told: plain data and pointers, no torch.
//
// The layer runs in five kernels on one stream: pool, route, prepare, branches, combine. Each image's k experts have
// fixed slots b * k + j; what a slot has to do is looked up on the device from the expert that the router chose for it,
// so the host never waits and a captured graph serves any routes. Grids are sized for the dearest choice; blocks beyond
// the real work leave at once.
#pragma once

#include <cstddef>
#include <cstdint>

namespace codmoe::ops::cuda {

/// Element type of maps and weights, and how products are formed. Sums are float32 always.
enum class Math {
  bfloat16,  ///< bfloat16 elements
  tf32,      ///< float32 elements, products in TensorFloat-32
  float32    ///< float32 elements, products in three TensorFloat-32 parts: float32's accuracy on tensor cores
};

constexpr int kMaxExperts = 8;
constexpr int kHeads = 8;         ///< of attention
constexpr int kMaxConvs = 8;      ///< convolutions of one expert before its fusion
constexpr int kMaxTasks = 128;    ///< kinds of work of one kernel
constexpr int kSlotMaps = 4;      ///< scratch maps [N, C] of a slot: 0 the branches' results, 1 to 3 their sources
constexpr int kChannelStep = 32;  ///< the kernels' channels are a multiple of it
constexpr int kMaxChannels = 512;
constexpr std::size_t kSharedBytes = 110 << 10;  ///< shared memory that a block may take; its GPU must have it

/// One value a channel, of the type that Layer::bfloat16_vectors says.
using Vector = const void*;

/// What follows a convolution: norm with running statistics, or bias, or nothing; then GELU or nothing.
struct Epilogue {
  Vector gamma = nullptr, beta = nullptr, mean = nullptr, var = nullptr;  ///< the norm; absent where gamma is null
  Vector bias = nullptr;                                                  ///< absent where null
  float eps = 1e-5F;
  bool gelu = false;
  bool gated = false;  ///< times the slot's gate, a value a channel
};

/// One convolution [out, kernel, kernel, in] (the memory of a channels-last weight) of stride 1 and zero padding.
struct Conv {
  const void* weight = nullptr;
  int in = 0, out = 0, kernel = 1, dilation = 1;
  int source = -1;  ///< -1: x; else the slot's scratch map
  int source_channel = 0;
  int target = 0;  ///< the slot's scratch map
  int target_channel = 0;
  Epilogue epilogue;
};

enum class Stencil { none, bands, edges, depthwise };

/// Attention with a pooled query, in its folded form: the rows of qkv are query, key, value; d = C / heads each head.
struct Attention {
  const void* qkv = nullptr;   ///< [3C, C]
  const void* proj = nullptr;  ///< [C, C]
  Vector qkv_bias = nullptr, proj_bias = nullptr;
  Epilogue norm;      ///< of x
  int heads = 0;      ///< 0: no attention
  float root = 0.0F;  ///< Shape::root
};

/// sigmoid(expand(GELU(reduce(mean of x)))).
struct Gate {
  const void* reduce = nullptr;  ///< [hidden, C]
  const void* expand = nullptr;  ///< [C, hidden]
  Vector reduce_bias = nullptr, expand_bias = nullptr;
  int hidden = 0;  ///< 0: no gate
};

struct Expert {
  Conv convs[kMaxConvs];
  int conv_count = 0;
  Stencil stencil = Stencil::none;  ///< bands: maps 1 to 3 = low, mid, high; edges: Sobel, Laplacian, gradient
  const void* depthwise = nullptr;  ///< [C, kernel, kernel], into map 1
  int depthwise_kernel = 0;
  Epilogue depthwise_epilogue;
  Attention attention;
  Gate gate;
  Conv fusion;  ///< 1x1 on map 0, where there is no attention
};

struct Router {
  const float* weight = nullptr;          ///< [E, C]
  const float* bias = nullptr;            ///< [E]
  const float* selection_bias = nullptr;  ///< [E], or null
  float logit_limit = 10.0F, temperature = 1.0F;
};

struct Shape {
  int batch = 0, channels = 0, height = 0, width = 0, experts = 0, top_k = 0;
  int positions = 0;  ///< height * width
  int slots = 0;      ///< batch * top_k
  float root = 0.0F;  ///< of attention's scores: 1 / sqrt(channels of a head before they were widened)
};

/// Results of the router, on the device.
struct Choice {
  float* logits = nullptr;     ///< [B, E]
  float* probs = nullptr;      ///< [B, E]
  int64_t* indices = nullptr;  ///< [B, k]
  float* weights = nullptr;    ///< [B, k]
  float* mean = nullptr;       ///< [B, C], mean of x over positions
};

/// Everything one forward needs.
struct Layer {
  Shape shape;
  Math math = Math::bfloat16;
  bool bfloat16_vectors = false;  ///< norms and biases are bfloat16, else float32
  Router router;
  Expert experts[kMaxExperts];
  const void* x = nullptr;  ///< [B, H, W, C]
  void* y = nullptr;        ///< [B, H, W, C]
  Choice choice;
};

}  // namespace codmoe::ops::cuda
