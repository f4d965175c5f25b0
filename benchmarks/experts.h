// The case "experts": each expert alone beside the old form that it replaces, and the layer beside its old pool and its
// old dispatch.
#pragma once

#include "benchmarks/layer.h"

namespace codmoe::bench {

struct ExpertsOptions : CaseOptions {
  /// Its experts are timed one by one, then as a pool; its dispatch is not used.
  moe::MoeOptions moe;
  /// The old pool, in which a type stands several times, each time with weights of its own.
  std::vector<std::string> old_pool = {"texture", "texture", "frequency", "frequency", "edge", "edge"};
  int64_t route_sets = 20;  ///< gates drawn for the pools, which take turns

  template <class Visitor>
  void fields(Visitor&& visit) {
    CaseOptions::fields(visit);
    visit("experts", moe.experts);
    visit("old_pool", old_pool);
    visit("top_k", moe.top_k, core::at_least(1));
    visit("norm", moe.norm);
    visit("route_sets", route_sets, core::at_least(1));
  }
  void check() const;
};

/// Checks first, in evaluation mode on the largest batch, that old forms of the same function agree with the new ones;
/// then times. Records have the new form before the old ones. @throws core::UsageError for tf32 without a GPU,
/// core::Error naming the form that deviates.
std::vector<Record> run_experts(const ExpertsOptions& options, const c10::Device& device);

/// A table of one row an expert and form for each dtype and pass, and what became of the guide's claims in it.
std::string format_experts(const std::vector<Record>& records);

}  // namespace codmoe::bench
