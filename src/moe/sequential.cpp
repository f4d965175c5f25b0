#include <ATen/ATen.h>

#include "strategies.h"

namespace codmoe::moe {

at::Tensor dispatch_sequential(const at::Tensor& x_bchw, const Routing& routing, const ExpertPool& pool) {
  const auto indices_bk = routing.indices.cpu();
  const auto choice = indices_bk.accessor<int64_t, 2>();
  std::vector<at::Tensor> rows;
  for (int64_t b = 0; b < routing.batch(); ++b) {
    const auto sample = x_bchw.narrow(0, b, 1);
    at::Tensor sum;
    for (int64_t k = 0; k < routing.top_k(); ++k) {
      const auto result = pool[static_cast<std::size_t>(choice[b][k])]->forward(sample);
      const auto part = result * routing.weights[b][k].to(result.scalar_type());
      sum = sum.defined() ? sum + part : part;
    }
    rows.push_back(sum);
  }
  return at::cat(rows).to(x_bchw.scalar_type());
}

}  // namespace codmoe::moe
