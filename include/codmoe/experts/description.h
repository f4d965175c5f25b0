// What an expert computes, as data: the convolutions it is made of. Dispatch kernels, FLOP counts and benchmarks read
// the same description that the module is built from.
#pragma once

#include <cstdint>
#include <string>
#include <vector>

#include "codmoe/nn/conv_norm_act.h"

namespace codmoe::experts {

/// What a convolution reads.
enum class Source {
  input,      ///< x
  low,        ///< band_split(x).low
  mid,        ///< band_split(x).mid
  high,       ///< band_split(x).high
  sobel,      ///< edge_maps(x).sobel
  laplacian,  ///< edge_maps(x).laplacian
  gradient,   ///< edge_maps(x).gradient
  pooled,     ///< one position: the mean of x, or what follows from it
  previous,   ///< the convolution listed before this one
  branches    ///< the branches' results, concatenated; times the last pooled result, channel by channel, where there is
              ///< one
};

/// One convolution of an expert.
struct ConvDescription {
  std::string name;  ///< parameter prefix within the expert, "branches.0.conv"
  Source source = Source::input;
  nn::ConvShape shape;
  bool bias = false;
  std::string norm = {};  ///< prefix of the norm that follows it, "branches.0.norm"; empty: none
  bool gelu = false;      ///< follows the norm
};

/// All convolutions of an expert, in the order in which they run.
struct ExpertDescription {
  std::vector<ConvDescription> convs;
  std::string input_norm = {};  ///< prefix of the norm of x that comes before all else; empty: none
  int64_t attention_heads = 0;  ///< of attention with a pooled query: two products of the input's width a position each

  /// Multiply-adds counted as two, of one sample of `positions` = H*W; convolutions and attention products alone.
  int64_t flops(int64_t positions) const;
  /// Weights and biases of the convolutions.
  int64_t parameters() const;
};

}  // namespace codmoe::experts
