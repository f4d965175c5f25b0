#include "codmoe/engine/ranks.h"

#include <ATen/ATen.h>

namespace codmoe::engine {

int64_t Ranks::sum(int64_t value) const {
  if (group_ == nullptr) return value;
  const auto total = at::full({1}, value, at::kLong);
  group_->sum(total);
  return total.item<int64_t>();
}

void Ranks::let_leader(const std::function<void()>& work) const {
  if (leads()) work();
  largest(0);
}

}  // namespace codmoe::engine
