#ifdef CODMOE_CUDA
#include "bias_gradient.h"

#include <ATen/ATen.h>
#include <ATen/cuda/CUDAContext.h>
#include <c10/cuda/CUDAException.h>
#include <c10/cuda/CUDAGuard.h>

#include "cuda/column_sums.h"
#include "cuda_call.h"

namespace codmoe::ops {

at::Tensor bias_gradient(const at::Tensor& grad_nc) {
  const c10::cuda::CUDAGuard guard(grad_nc.device());
  const cuda::ColumnSums sums{.x = grad_nc.const_data_ptr(),
                              .bfloat16 = is_bfloat16(grad_nc),
                              .rows = grad_nc.size(0),
                              .columns = grad_nc.size(1)};
  const auto options = grad_nc.options().dtype(at::kFloat);
  const auto partial = at::empty({cuda::column_sum_parts(sums), sums.columns}, options);
  auto total = at::empty({sums.columns}, options);
  C10_CUDA_CHECK(cuda::column_sums(sums, partial.mutable_data_ptr<float>(), total.mutable_data_ptr<float>(),
                                   at::cuda::getCurrentCUDAStream().stream()));
  return total;
}

}  // namespace codmoe::ops
#endif  // CODMOE_CUDA
