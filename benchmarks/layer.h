// The case "layer": SparseCODMoE alone, every dispatch beside the others on the same weights, images and routes.
#pragma once

#include <filesystem>
#include <vector>

#include "benchmarks/case.h"
#include "benchmarks/graph.h"
#include "benchmarks/routes.h"

namespace codmoe::bench {

/// Every combination of dtype, pass, inputs, batch, dispatch and launch is a case; launch `graph` only where it is
/// possible.
struct LayerOptions : CaseOptions {
  std::vector<moe::Dispatch> dispatch = {moe::Dispatch::sequential, moe::Dispatch::batched, moe::Dispatch::dense};
  std::vector<Launch> launch = {Launch::eager};
  std::vector<Inputs> inputs = {Inputs::warm};
  moe::MoeOptions moe;      ///< its own dispatch is not used
  int64_t route_sets = 20;  ///< gates drawn, which take turns

  template <class Visitor>
  void fields(Visitor&& visit) {
    CaseOptions::fields(visit);
    visit("dispatch", dispatch);
    visit("launch", launch);
    visit("inputs", inputs);
    visit("experts", moe.experts);
    visit("top_k", moe.top_k, core::at_least(1));
    visit("routing", moe.routing);
    visit("norm", moe.norm);
    visit("route_sets", route_sets, core::at_least(1));
  }
  void check() const;
};

/// Checks first, in evaluation mode and on every batch, that the strategies agree with `sequential`; then times.
/// @throws core::UsageError for tf32 without a GPU, core::Error naming the strategy that deviates most.
std::vector<Record> run_layer(const LayerOptions& options, const c10::Device& device);

/// The same in one dtype, where the ceilings are known already; options.dtype is not used.
std::vector<Record> run_layer_cases(const LayerOptions& options, Precision precision, const c10::Device& device,
                                    const Ceilings& ceilings);

/// Writes weights, `input`, `output`, `topk_indices` and `topk_weights` of the largest batch, in evaluation mode with
/// the first dtype, dispatch and set of routes, as safetensors: for any other framework to check. The file's metadata
/// name `dispatch`, `dtype`, `mode`, `routing`, `norm`, `top_k` and the `experts`, with commas between them.
void save_layer_io(const std::filesystem::path& file, const LayerOptions& options, const c10::Device& device);

}  // namespace codmoe::bench
