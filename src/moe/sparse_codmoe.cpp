#include "codmoe/moe/sparse_codmoe.h"

#include <ATen/ATen.h>
#include <ATen/autocast_mode.h>
#include <ATen/core/grad_mode.h>
#include <fmt/format.h>
#include <fmt/ranges.h>
#include <spdlog/spdlog.h>
#include <torch/nn/modules/container/modulelist.h>

#include <algorithm>
#include <mutex>

#include "codmoe/dist/shared_statistics.h"
#include "codmoe/experts/registry.h"
#include "expert_block.h"
#include "fused.h"
#include "strategies.h"

namespace codmoe::moe {

namespace {

/// x in the type that autocast asks for on its device, where it is on; like LibTorch's it leaves float64.
at::Tensor autocast(const at::Tensor& x_bchw) {
  const auto device = x_bchw.device().type();
  if (x_bchw.scalar_type() == at::kDouble) return x_bchw;
  return at::autocast::is_autocast_enabled(device) ? x_bchw.to(at::autocast::get_autocast_dtype(device)) : x_bchw;
}

void say_once(const std::string& refusal) {
  static std::once_flag said;
  std::call_once(said, [&] { spdlog::info("dispatch fused cannot run here ({}); batched is used", refusal); });
}

RouterForm router_form(const MoeOptions& options) {
  return {.routing = options.routing,
          .norm = options.norm,
          .selection_bias = options.balance.method == BalanceMethod::bias};
}

}  // namespace

void MoeOptions::check() const {
  const auto known = experts::expert_names();
  for (std::size_t i = 0; i < experts.size(); ++i) {
    if (std::ranges::find(known, experts[i]) != known.end()) continue;
    throw core::BadOption(fmt::format("experts.{}", i),
                          fmt::format("is '{}', which is no expert; known are {}", experts[i], fmt::join(known, ", ")));
  }
  const auto count = static_cast<int64_t>(experts.size());
  if (count == 0) throw core::BadOption("experts", "must name at least one expert");
  if (top_k < 1 || top_k > count) {
    throw core::BadOption("top_k", fmt::format("must be in [1, {}], the size of the pool; it is {}", count, top_k));
  }
}

SparseCODMoEImpl::SparseCODMoEImpl(int64_t dim, const MoeOptions& options)
    : options_((options.check(), options)),
      router_(register_module("router", Router(dim, static_cast<int64_t>(options.experts.size()), options.top_k,
                                               options.router, router_form(options)))) {
  auto list = register_module("experts", torch::nn::ModuleList());
  for (const auto& name : options.experts) {
    pool_.push_back(experts::make_expert(name, {.dim = dim, .norm = options.norm}));
    list->push_back(std::static_pointer_cast<torch::nn::Module>(pool_.back()));
  }
}

MoeOutput SparseCODMoEImpl::forward(const at::Tensor& x_bchw) {
  if (group_ == nullptr && (options_.dispatch == Dispatch::fused || options_.dispatch == Dispatch::automatic)) {
    const auto x = autocast(x_bchw);
    const auto refusal = refusal_of(x);
    if (refusal.empty()) {
      waited_for_routes_ = false;
      auto output = fused_forward(x);
      output.y_bchw = output.y_bchw.to(x_bchw.scalar_type());
      return output;
    }
    if (options_.dispatch == Dispatch::fused) say_once(refusal);
  }
  const bool dense = options_.dispatch == Dispatch::automatic && avoids_waiting_;
  const auto strategy = dense ? Dispatch::dense : options_.dispatch;
  waited_for_routes_ = group_ != nullptr || strategy != Dispatch::dense;
  auto routing = router_->forward(x_bchw);
  if (is_training() && router_->selection_bias()) count_load(routing);
  auto y_bchw =
      group_ != nullptr ? dispatch_spread(x_bchw, routing, pool_, *group_) : dispatch(strategy, x_bchw, routing, pool_);
  return {.y_bchw = y_bchw, .routing = routing};
}

void SparseCODMoEImpl::spread(dist::Group& group) {
  group_ = &group;
  fused_pool_.reset();
  const auto own = expert_block(group.rank(), group.ranks(), std::ssize(pool_));
  for (int64_t e = 0; e < std::ssize(pool_); ++e) {
    if (e < own.begin || e >= own.end) pool_[static_cast<std::size_t>(e)]->to(c10::kCPU);
  }
}

const FusedPool& SparseCODMoEImpl::fused_pool() {
  if (!fused_pool_) fused_pool_ = std::make_shared<FusedPool>(make_fused_pool(pool_));
  return *fused_pool_;
}

std::string SparseCODMoEImpl::fused_refusal(const at::Tensor& x_bchw) { return refusal_of(autocast(x_bchw)); }

std::string SparseCODMoEImpl::refusal_of(const at::Tensor& x_bchw) {
  if (!is_training() && at::GradMode::is_enabled()) return "gradients in evaluation mode are not its";
  if (options_.routing != RoutingKind::global) return "routing is spatial";
  if (!fused_pool().refusal.empty()) return fused_pool().refusal;
  if (!in_one_mode()) return "some modules are in training, others in evaluation";
  return is_training() ? ops::fused_moe_training_refusal(x_bchw, fused_pool().experts)
                       : ops::fused_moe_refusal(x_bchw, fused_pool().experts);
}

bool SparseCODMoEImpl::in_one_mode() {
  return std::ranges::all_of(fused_pool().modules,
                             [this](const auto& module) { return module->is_training() == is_training(); });
}

MoeOutput SparseCODMoEImpl::fused_forward(const at::Tensor& x_bchw) {
  const auto run = is_training() ? ops::fused_moe_training : ops::fused_moe;
  const auto result = run(x_bchw, router_->fused(x_bchw.size(0)), fused_pool().experts);
  MoeOutput output{.y_bchw = result.y_bchw,
                   .routing = {result.logits_be, result.probs_be, result.indices_bk, result.weights_bk}};
  if (is_training() && router_->selection_bias()) count_load(output.routing);
  return output;
}

void SparseCODMoEImpl::count_load(const Routing& routing) {
  const at::NoGradGuard no_grad;
  const auto counts_e = assignment_counts(routing);
  if (!load_e_.defined() || load_e_.device() != counts_e.device()) {
    load_e_ = at::zeros_like(counts_e, counts_e.options().dtype(at::kDouble));
  }
  load_e_.add_(counts_e);  // in place, so that a captured graph counts too
}

void SparseCODMoEImpl::update_balance() {
  if (!load_e_.defined()) return;
  const at::NoGradGuard no_grad;
  if (auto* group = dist::SharedStatistics::of_loads()) group->sum(load_e_);
  auto bias_e = *router_->selection_bias();
  bias_e.add_((load_e_.mean() - load_e_).sign().to(bias_e.scalar_type()), options_.balance.rate);
  load_e_.zero_();
}

}  // namespace codmoe::moe
