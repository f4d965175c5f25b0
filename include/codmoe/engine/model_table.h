// What a detector is made of.
#pragma once

#include <string>
#include <vector>

#include "codmoe/model/detector.h"

namespace codmoe::engine {

/// A part of a detector.
struct ModelPart {
  std::string name;
  int64_t parameters = 0;
  int64_t flops = 0;                 ///< of one image; core::FlopCounter says what is counted
  std::vector<int64_t> output = {};  ///< [B, C, H, W] of one image; of the backbone the coarsest feature
};

/// The parts in the order in which they run, on one image of `size` pixels a side: the backbone's stages, each MoE
/// layer and its experts (indented), the decoder. A layer's operations are the router's and those of top_k experts of
/// average cost. Switches the model to evaluation.
std::vector<ModelPart> describe_parts(model::DetectorImpl& model, int64_t size);

/// The parts as lines of a table, and their sum.
std::string model_table(const std::vector<ModelPart>& parts, int64_t size);

}  // namespace codmoe::engine
