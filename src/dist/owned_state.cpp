#include "codmoe/dist/owned_state.h"

#include <ATen/ATen.h>
#include <ATen/core/grad_mode.h>

namespace codmoe::dist {

namespace {

std::vector<at::Tensor> tensors_of(int64_t owner, const core::TensorMap& state, const Owners& owners) {
  std::vector<at::Tensor> tensors;
  for (const auto& [name, tensor] : state) {
    const auto found = owners.find(name);
    if (found != owners.end() && found->second == owner) tensors.push_back(tensor);
  }
  return tensors;
}

at::Tensor packed(const std::vector<at::Tensor>& tensors) {
  std::vector<at::Tensor> bytes;
  for (const auto& tensor : tensors) bytes.push_back(tensor.cpu().contiguous().flatten().view(at::kByte));
  return at::cat(bytes);
}

void unpack(const at::Tensor& bytes, const std::vector<at::Tensor>& tensors) {
  int64_t begin = 0;
  for (const auto& tensor : tensors) {
    const auto size = static_cast<int64_t>(tensor.nbytes());
    const auto aligned = bytes.narrow(0, begin, size).clone();
    at::Tensor(tensor).copy_(aligned.view(tensor.scalar_type()).view(tensor.sizes()));
    begin += size;
  }
}

}  // namespace

void fill_from_owners(const core::TensorMap& state, const Owners& owners, Group& group) {
  const at::NoGradGuard no_grad;
  for (int64_t owner = 0; owner < group.ranks(); ++owner) {
    const auto tensors = tensors_of(owner, state, owners);
    if (tensors.empty()) continue;
    const auto bytes = packed(tensors);
    group.broadcast(bytes, owner);
    if (group.rank() != owner) unpack(bytes, tensors);
  }
}

}  // namespace codmoe::dist
