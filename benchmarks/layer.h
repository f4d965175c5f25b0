// The case "layer": SparseCODMoE alone, every dispatch beside the others on the same weights, images and routes.
#pragma once

#include <filesystem>
#include <vector>

#include "benchmarks/precision.h"
#include "benchmarks/record.h"
#include "benchmarks/routes.h"
#include "benchmarks/timing.h"

namespace codmoe::bench {

/// Every combination of dtype, pass, batch and dispatch is a case.
struct LayerOptions {
  int64_t dim = 288;
  int64_t height = 22;
  int64_t width = 22;
  std::vector<int64_t> batch = {1, 4, 8, 16};
  std::vector<Precision> dtype = {Precision::float32};
  std::vector<Pass> pass = {Pass::forward};
  std::vector<moe::Dispatch> dispatch = {moe::Dispatch::sequential, moe::Dispatch::batched, moe::Dispatch::dense};
  Layout memory_format = Layout::automatic;
  moe::MoeOptions moe;      ///< its own dispatch is not used
  int64_t route_sets = 20;  ///< gates drawn, which take turns
  int64_t seed = 0;         ///< of weights, images and gates
  TimingOptions timing;

  template <class Visitor>
  void fields(Visitor&& visit) {
    visit("dim", dim, core::at_least(4));
    visit("height", height, core::at_least(1));
    visit("width", width, core::at_least(1));
    visit("batch", batch, core::at_least(1));
    visit("dtype", dtype);
    visit("pass", pass);
    visit("dispatch", dispatch);
    visit("memory_format", memory_format);
    visit("experts", moe.experts);
    visit("top_k", moe.top_k, core::at_least(1));
    visit("routing", moe.routing);
    visit("norm", moe.norm);
    visit("route_sets", route_sets, core::at_least(1));
    visit("seed", seed, core::at_least(0));
    visit("timing", timing);
  }
  void check() const;
};

/// Checks first, in evaluation mode and on every batch, that the strategies agree with `sequential`; then times.
/// @throws core::UsageError for tf32 without a GPU, core::Error naming the strategy that deviates most.
std::vector<Record> run_layer(const LayerOptions& options, const c10::Device& device);

/// Writes weights, `input`, `output`, `topk_indices` and `topk_weights` of the largest batch, in evaluation mode with
/// the first dtype, dispatch and set of routes, as safetensors: for any other framework to check. The file's metadata
/// name `dispatch`, `dtype`, `mode`, `routing`, `norm`, `top_k` and the `experts`, with commas between them.
void save_layer_io(const std::filesystem::path& file, const LayerOptions& options, const c10::Device& device);

}  // namespace codmoe::bench
