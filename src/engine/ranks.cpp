#include "codmoe/engine/ranks.h"

#include <ATen/ATen.h>

namespace codmoe::engine {

int64_t Ranks::largest(int64_t value) const {
  if (group_ == nullptr) return value;
  waits();
  return group_->largest(value);
}

int64_t Ranks::sum(int64_t value) const {
  if (group_ == nullptr) return value;
  waits();
  const auto total = at::full({1}, value, at::kLong);
  group_->sum(total);
  return total.item<int64_t>();
}

core::Json Ranks::share(const core::Json& value) const {
  if (group_ == nullptr) return value;
  waits();
  const auto bytes = leads() ? core::Json::to_cbor(value) : std::vector<uint8_t>();
  return core::Json::from_cbor(group_->gather(std::string(bytes.begin(), bytes.end())).front());
}

void Ranks::let_leader(const std::function<void()>& work) const {
  if (leads()) work();
  largest(0);
}

}  // namespace codmoe::engine
