// The dispatch strategies, one file each.
#pragma once

#include "codmoe/moe/dispatch.h"

namespace codmoe::moe {

at::Tensor dispatch_sequential(const at::Tensor& x_bchw, const Routing& routing, const ExpertPool& pool);
at::Tensor dispatch_batched(const at::Tensor& x_bchw, const Routing& routing, const ExpertPool& pool);
at::Tensor dispatch_dense(const at::Tensor& x_bchw, const Routing& routing, const ExpertPool& pool);

}  // namespace codmoe::moe
