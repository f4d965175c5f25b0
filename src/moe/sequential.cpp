#include <ATen/ATen.h>

#include "strategies.h"

namespace codmoe::moe {

at::Tensor dispatch_sequential(const at::Tensor& x_bchw, const Routing& routing, const ExpertPool& pool) {
  const auto weights_behw = weight_maps(routing);
  const auto counts_be = choice_counts(routing).cpu();
  const auto count = counts_be.accessor<int64_t, 2>();
  std::vector<at::Tensor> rows;
  for (int64_t b = 0; b < routing.batch(); ++b) {
    const auto sample = x_bchw.narrow(0, b, 1);
    at::Tensor sum;
    for (int64_t e = 0; e < routing.experts(); ++e) {
      if (count[b][e] == 0) continue;
      const auto result = pool[static_cast<std::size_t>(e)]->forward(sample);
      const auto part = result * weights_behw[b][e].to(result.scalar_type());
      sum = sum.defined() ? sum + part : part;
    }
    rows.push_back(sum);
  }
  return at::cat(rows).to(x_bchw.scalar_type());
}

}  // namespace codmoe::moe
