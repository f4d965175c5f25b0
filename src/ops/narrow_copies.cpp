#include "codmoe/ops/narrow_copies.h"

#include <ATen/ATen.h>
#include <ATen/core/grad_mode.h>

namespace codmoe::ops {

namespace {

thread_local const NarrowCopies* current = nullptr;

}  // namespace

std::vector<at::Tensor> copy_all(const std::vector<at::Tensor>& tensors, at::ScalarType type) {
  const at::NoGradGuard no_grad;
  std::vector<at::Tensor> copies;
  copies.reserve(tensors.size());
  // Not empty_like, which may choose other strides for a 1x1 weight: LibTorch copies lists of the same strides at once.
  for (const auto& tensor : tensors)
    copies.push_back(at::empty_strided(tensor.sizes(), tensor.strides(), tensor.options().dtype(type)));
  if (!copies.empty()) at::_foreach_copy_(copies, tensors);
  return copies;
}

NarrowCopies::NarrowCopies(const std::vector<at::Tensor>& parameters, at::ScalarType type) : before_(current) {
  const auto copies = copy_all(parameters, type);
  for (std::size_t i = 0; i < parameters.size(); ++i) copies_[parameters[i].unsafeGetTensorImpl()] = copies[i];
  current = this;
}

NarrowCopies::~NarrowCopies() { current = before_; }

at::Tensor NarrowCopies::of(const at::Tensor& parameter, at::ScalarType type) {
  if (current != nullptr) {
    const auto found = current->copies_.find(parameter.unsafeGetTensorImpl());
    if (found != current->copies_.end() && found->second.scalar_type() == type) return found->second;
  }
  return parameter.to(type);
}

}  // namespace codmoe::ops
