// The experts of a pool as the fused kernels read them.
#pragma once

#include <memory>
#include <string>
#include <vector>

#include "codmoe/moe/dispatch.h"
#include "codmoe/ops/fused_moe.h"

namespace codmoe::moe {

struct FusedPool {
  std::vector<ops::FusedExpert> experts;                    ///< tensors of the pool itself, not copies
  std::string refusal;                                      ///< why the pool cannot run fused; empty where it can
  std::vector<std::shared_ptr<torch::nn::Module>> modules;  ///< all within the experts
};

/// Reads the experts' descriptions. The pool's modules keep their tensors: later weights are seen.
FusedPool make_fused_pool(const ExpertPool& pool);

}  // namespace codmoe::moe
