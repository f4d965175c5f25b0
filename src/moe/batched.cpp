#include <ATen/ATen.h>

#include "strategies.h"

namespace codmoe::moe {

namespace {

/// The samples of every expert, and for each the position of its weight in weights.flatten(): one read by the host, one
/// copy back, for the whole batch.
struct Assignments {
  std::vector<at::Tensor> samples, slots;  // int64 [n_e] an expert, on the device of the choices

  explicit Assignments(const Routing& routing) {
    const auto indices = routing.indices.cpu();
    const auto experts = static_cast<std::size_t>(routing.experts());
    std::vector<std::vector<int64_t>> of(experts);
    const auto* expert = indices.const_data_ptr<int64_t>();
    for (int64_t slot = 0; slot < indices.numel(); ++slot) of[static_cast<std::size_t>(expert[slot])].push_back(slot);

    std::vector<int64_t> all, counts;
    for (const auto& list : of) {
      all.insert(all.end(), list.begin(), list.end());
      counts.push_back(static_cast<int64_t>(list.size()));
    }
    const auto flat = at::tensor(all, at::kLong).to(routing.indices.device(), /*non_blocking=*/true);
    slots = flat.split_with_sizes(counts);
    samples = flat.div(routing.top_k(), "floor").split_with_sizes(counts);
  }
};

}  // namespace

at::Tensor dispatch_batched(const at::Tensor& x_bchw, const Routing& routing, const ExpertPool& pool) {
  const Assignments assigned(routing);
  const auto weights = routing.weights.flatten();
  auto out_bchw = at::zeros_like(x_bchw);
  for (std::size_t e = 0; e < pool.size(); ++e) {
    const auto &samples = assigned.samples[e], &slots = assigned.slots[e];
    if (samples.numel() == 0) continue;
    const auto result = pool[e]->forward(x_bchw.index_select(0, samples)).to(x_bchw.scalar_type());
    const auto weight = weights.index_select(0, slots).to(x_bchw.scalar_type()).view({-1, 1, 1, 1});
    out_bchw = out_bchw.index_add(0, samples, result * weight);
  }
  return out_bchw;
}

}  // namespace codmoe::moe
