// Sums over the ranks that gradients flow through.
#pragma once

#include "codmoe/dist/group.h"

namespace codmoe::dist {

/// The sum of every rank's x. Where the loss is a sum over the ranks too, as it is in training, the gradient of x is
/// the sum of every rank's gradient of the result. `group` must outlive the backward pass.
at::Tensor all_sum(const at::Tensor& x, Group& group);

}  // namespace codmoe::dist
