#include "kept_buffers.h"

#include <ATen/ATen.h>
#include <ATen/core/grad_mode.h>

#include "codmoe/moe/expert_parallel.h"
#include "one_row.h"

namespace codmoe::engine {

KeptBuffers::KeptBuffers(const torch::nn::Module& model) {
  const auto elsewhere = moe::experts_elsewhere(model);
  for (const auto& item : model.named_buffers()) {
    const auto& buffer = item.value();
    if (elsewhere.contains(item.key()) || !buffer.is_floating_point() || buffer.numel() == 0) continue;
    buffers_.push_back(buffer.detach());
  }
}

void KeptBuffers::remember() {
  const at::NoGradGuard no_grad;
  if (!buffers_.empty()) remembered_ = in_one_row(buffers_);
}

void KeptBuffers::restore(const at::Tensor& left_out) {
  if (buffers_.empty()) return;
  const at::NoGradGuard no_grad;
  copy_from_row(buffers_, at::where(left_out > 0, remembered_, in_one_row(buffers_)));
  remembered_.reset();
}

}  // namespace codmoe::engine
