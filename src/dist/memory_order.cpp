#include "memory_order.h"

#include <ATen/ATen.h>

namespace codmoe::dist {

at::Tensor in_order_of(const at::Tensor& flat, const at::Tensor& tensor) {
  return tensor.is_non_overlapping_and_dense() ? flat.as_strided(tensor.sizes(), tensor.strides())
                                               : flat.view(tensor.sizes());
}

}  // namespace codmoe::dist
