// Copies of parameters in the type of products, made all at once.
#pragma once

#include <ATen/core/Tensor.h>

#include <unordered_map>
#include <vector>

namespace codmoe::ops {

/// For its lifetime `of` finds these copies on this thread; the scope before it goes on behind it. Copies have no
/// gradients: who uses one gives the parameter its gradient. On CUDA a few kernels copy any number of parameters.
class NarrowCopies {
 public:
  /// @param parameters  of one device and dtype
  NarrowCopies(const std::vector<at::Tensor>& parameters, at::ScalarType type);
  ~NarrowCopies();
  NarrowCopies(const NarrowCopies&) = delete;
  NarrowCopies& operator=(const NarrowCopies&) = delete;

  /// `parameter` in `type`: the copy that there is, or a new one.
  static at::Tensor of(const at::Tensor& parameter, at::ScalarType type);

 private:
  std::unordered_map<const c10::TensorImpl*, at::Tensor> copies_;
  const NarrowCopies* before_;
};

/// Tensors of `type` in the strides of `tensors`, with their values; without gradients.
std::vector<at::Tensor> copy_all(const std::vector<at::Tensor>& tensors, at::ScalarType type);

}  // namespace codmoe::ops
