#include <ATen/ATen.h>

#include <array>

#include "strategies.h"

namespace codmoe::moe {

at::Tensor dispatch_dense(const at::Tensor& x_bchw, const Routing& routing, const ExpertPool& pool) {
  const std::array<int64_t, 2> shape{routing.batch(), routing.experts()};
  const auto weights_be = at::zeros(shape, routing.weights.options()).scatter(1, routing.indices, routing.weights);
  const auto chosen_be = at::zeros(shape, routing.indices.options().dtype(at::kBool)).scatter(1, routing.indices, true);
  auto out_bchw = at::zeros_like(x_bchw);
  for (std::size_t e = 0; e < pool.size(); ++e) {
    const auto column = static_cast<int64_t>(e);
    const auto mask_b = chosen_be.select(1, column);
    const auto weight = weights_be.select(1, column).to(x_bchw.scalar_type()).view({-1, 1, 1, 1});
    out_bchw = out_bchw + pool[e]->forward(x_bchw, mask_b).to(x_bchw.scalar_type()) * weight;
  }
  return out_bchw;
}

}  // namespace codmoe::moe
