#include "codmoe/experts/expert.h"

#include <ATen/ATen.h>

namespace codmoe::experts {

at::Tensor Expert::forward_at(const at::Tensor& x_bchw, const at::Tensor& positions_p) {
  return gather_positions(forward(x_bchw), positions_p);
}

at::Tensor gather_positions(const at::Tensor& x_bchw, const at::Tensor& positions_p) {
  return x_bchw.transpose(0, 1).flatten(1).index_select(1, positions_p).unsqueeze(0).unsqueeze(3);
}

}  // namespace codmoe::experts
