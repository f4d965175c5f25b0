#include "kept_buffers.h"

#include <ATen/ATen.h>
#include <ATen/core/grad_mode.h>

namespace codmoe::engine {

namespace {

at::Tensor in_one_row(const std::vector<at::Tensor>& tensors) {
  std::vector<at::Tensor> rows;
  for (const auto& tensor : tensors) rows.push_back(tensor.reshape(-1));
  return at::cat(rows);
}

}  // namespace

KeptBuffers::KeptBuffers(const torch::nn::Module& model) {
  for (const auto& buffer : model.buffers()) {
    if (buffer.is_floating_point() && buffer.numel() > 0) buffers_.push_back(buffer.detach());
  }
}

void KeptBuffers::remember() {
  const at::NoGradGuard no_grad;
  if (!buffers_.empty()) remembered_ = in_one_row(buffers_);
}

void KeptBuffers::restore(const at::Tensor& left_out) {
  if (buffers_.empty()) return;
  const at::NoGradGuard no_grad;
  const auto row = at::where(left_out > 0, remembered_, in_one_row(buffers_));
  std::vector<at::Tensor> values;
  int64_t first = 0;
  for (const auto& buffer : buffers_) {
    values.push_back(row.narrow(0, first, buffer.numel()).view(buffer.sizes()));
    first += buffer.numel();
  }
  at::_foreach_copy_(buffers_, values);
  remembered_.reset();
}

}  // namespace codmoe::engine
