#include "codmoe/nn/drop_path.h"

#include <ATen/ATen.h>

namespace codmoe::nn {

at::Tensor DropPathImpl::forward(const at::Tensor& branch) const {
  if (rate_ == 0.0 || !is_training()) return branch;
  std::vector<int64_t> per_sample(static_cast<std::size_t>(branch.dim()), 1);
  per_sample[0] = branch.size(0);
  const double keep = 1.0 - rate_;
  auto mask = at::empty(per_sample, branch.options()).bernoulli_(keep);
  if (keep > 0.0) mask.div_(keep);
  return branch * mask;
}

}  // namespace codmoe::nn
