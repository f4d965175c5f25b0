// Rows of values in the memory order of other tensors.
#pragma once

#include <ATen/core/Tensor.h>

namespace codmoe::dist {

/// `flat`, of as many values as `tensor`, as a view of its sizes, and of its strides where it has no gaps, so that
/// values are copied between the two as they lie.
at::Tensor in_order_of(const at::Tensor& flat, const at::Tensor& tensor);

}  // namespace codmoe::dist
