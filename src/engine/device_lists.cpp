#include "device_lists.h"

#include <ATen/ATen.h>

namespace codmoe::engine {

void move_towards(std::vector<at::Tensor>& targets, const std::vector<at::Tensor>& sources, const at::Tensor& weight,
                  const at::Tensor& left_out) {
  if (targets.empty()) return;
  at::_fused_sgd_(targets, at::_foreach_sub(targets, sources), /*momentum_buffer_list=*/{}, /*weight_decay=*/0.0,
                  /*momentum=*/0.0, weight, /*dampening=*/0.0, /*nesterov=*/false, /*maximize=*/false,
                  /*is_first_step=*/false, /*grad_scale=*/{}, left_out);
}

}  // namespace codmoe::engine
