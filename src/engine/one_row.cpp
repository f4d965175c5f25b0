#include "one_row.h"

#include <ATen/ATen.h>

namespace codmoe::engine {

at::Tensor in_one_row(const std::vector<at::Tensor>& tensors) {
  std::vector<at::Tensor> rows;
  for (const auto& tensor : tensors) rows.push_back(tensor.reshape(-1));
  return at::cat(rows);
}

void copy_from_row(const std::vector<at::Tensor>& tensors, const at::Tensor& row) {
  std::vector<at::Tensor> values;
  int64_t first = 0;
  for (const auto& tensor : tensors) {
    values.push_back(row.narrow(0, first, tensor.numel()).view(tensor.sizes()));
    first += tensor.numel();
  }
  at::_foreach_copy_(tensors, values);
}

}  // namespace codmoe::engine
