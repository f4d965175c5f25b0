#include <ATen/ATen.h>

#include "strategies.h"

namespace codmoe::moe {

at::Tensor dispatch_dense(const at::Tensor& x_bchw, const Routing& routing, const ExpertPool& pool) {
  const auto weights_behw = weight_maps(routing).to(x_bchw.scalar_type());
  const auto chosen_be = choice_counts(routing) > 0;
  auto out_bchw = at::zeros_like(x_bchw);
  for (std::size_t e = 0; e < pool.size(); ++e) {
    const auto column = static_cast<int64_t>(e);
    const auto result = pool[e]->forward(x_bchw, chosen_be.select(1, column)).to(x_bchw.scalar_type());
    out_bchw = out_bchw + result * weights_behw.narrow(1, column, 1);
  }
  return out_bchw;
}

}  // namespace codmoe::moe
