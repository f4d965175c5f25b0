// The sparse mixture-of-experts layer.
#pragma once

#include <memory>
#include <string>
#include <vector>

#include "codmoe/dist/group.h"
#include "codmoe/moe/balance.h"
#include "codmoe/moe/dispatch.h"
#include "codmoe/moe/router.h"

namespace codmoe::moe {

struct MoeOptions {
  std::vector<std::string> experts = {"texture", "frequency", "edge", "contrast", "attention", "hybrid"};
  int64_t top_k = 2;  ///< experts an image, or a position
  RoutingKind routing = RoutingKind::global;
  Dispatch dispatch = Dispatch::automatic;
  nn::NormKind norm = nn::NormKind::batch;
  RouterOptions router = {};
  BalanceOptions balance = {};

  template <class Visitor>
  void fields(Visitor&& visit) {
    visit("experts", experts);
    visit("top_k", top_k, core::at_least(1));
    visit("routing", routing);
    visit("dispatch", dispatch);
    visit("norm", norm);
    visit("router", router);
    visit("balance", balance);
  }
  void check() const;
};

struct FusedPool;

struct MoeOutput {
  at::Tensor y_bchw;
  Routing routing;
};

/// Runs the k chosen of E experts on every image and mixes their results, one mixture an image or a position:
/// [B, C, H, W] -> the same shape and dtype. Parameters `router.*` and `experts.N.*`; with balance `bias` a buffer
/// `router.selection_bias`. Source: the guide's SparseCODMoE and EfficientSparseCODMoE, which differ in their dispatch
/// alone.
class SparseCODMoEImpl : public torch::nn::Module {
 public:
  /// @throws core::UsageError for an unknown expert, k outside [1, E] or fewer than 4 channels.
  SparseCODMoEImpl(int64_t dim, const MoeOptions& options);
  MoeOutput forward(const at::Tensor& x_bchw);

  /// Why `fused` cannot run on this input now, in which case `batched` does; empty where it can.
  std::string fused_refusal(const at::Tensor& x_bchw);

  /// Whether the last forward read its routes on the host, so that it can't be part of a captured CUDA graph.
  bool waited_for_routes() const { return waited_for_routes_; }

  /// With balance `bias`, to be called after every optimizer step: selection_bias += rate * sign(mean load - load), the
  /// load being the assignments of all forwards in training mode since the last call. No host synchronisation.
  /// Otherwise does nothing.
  void update_balance();

  /// While this is on, `auto` takes `dense` instead of `batched` where it can't run `fused`, so that a forward can be
  /// captured in a CUDA graph.
  void avoid_waiting(bool on) { avoids_waiting_ = on; }

  /// Later forwards use this strategy; weights are the same for all.
  void set_dispatch(Dispatch dispatch) { options_.dispatch = dispatch; }

  /// From now on each rank of `group` runs a part of the experts, for the images of all ranks: its own come from the
  /// ranks that routed them, results go back, and statistics and results are those of `batched` on the whole batch,
  /// rank 0's images first. Replaces options().dispatch. forward() is a collective then, in training and evaluation,
  /// and so is its backward pass: a rank without images calls it with a batch of none.
  ///
  /// Call it after to() and after all ranks have the same weights. Experts of other ranks move to the CPU, where they
  /// take no device memory; their names stay, and a state dict loads as ever (on every rank). They get no gradient and
  /// grow stale until gather_experts(). See codmoe/moe/expert_parallel.h. `group` must outlive the layer.
  void spread(dist::Group& group);
  /// Of spread(); null before.
  dist::Group* group() const { return group_; }

  const MoeOptions& options() const { return options_; }
  const ExpertPool& pool() const { return pool_; }
  Router& router() { return router_; }

 private:
  /// Both of x as autocast has it.
  std::string refusal_of(const at::Tensor& x_bchw);
  MoeOutput fused_forward(const at::Tensor& x_bchw);
  /// Frozen norms are in evaluation while the layer trains; the kernels know one mode.
  bool in_one_mode();
  const FusedPool& fused_pool();
  void count_load(const Routing& routing);

  MoeOptions options_;
  Router router_;
  ExpertPool pool_;
  std::shared_ptr<FusedPool> fused_pool_;  // made when first asked for
  bool waited_for_routes_ = false, avoids_waiting_ = false;
  dist::Group* group_ = nullptr;  // where experts are spread
  at::Tensor load_e_;  // float64 on the device of the first forward; no buffer, since it is zero between steps
};
TORCH_MODULE(SparseCODMoE);

}  // namespace codmoe::moe
