#include "codmoe/moe/sparse_codmoe.h"

#include <ATen/ATen.h>
#include <ATen/core/grad_mode.h>
#include <fmt/format.h>
#include <fmt/ranges.h>
#include <torch/nn/modules/container/modulelist.h>

#include <algorithm>

#include "codmoe/experts/registry.h"

namespace codmoe::moe {

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

namespace {

RouterForm router_form(const MoeOptions& options) {
  return {.routing = options.routing,
          .norm = options.norm,
          .selection_bias = options.balance.method == BalanceMethod::bias};
}

}  // namespace

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
  auto routing = router_->forward(x_bchw);
  if (is_training() && router_->selection_bias()) count_load(routing);
  auto y_bchw = dispatch(options_.dispatch, x_bchw, routing, pool_);
  return {.y_bchw = y_bchw, .routing = routing};
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
  auto bias_e = *router_->selection_bias();
  bias_e.add_((load_e_.mean() - load_e_).sign().to(bias_e.scalar_type()), options_.balance.rate);
  load_e_.zero_();
}

}  // namespace codmoe::moe
