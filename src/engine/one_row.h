// Many tensors as one row of numbers.
#pragma once

#include <ATen/core/Tensor.h>

#include <vector>

namespace codmoe::engine {

/// All their values, one after another: a copy.
at::Tensor in_one_row(const std::vector<at::Tensor>& tensors);

/// Writes such a row back.
void copy_from_row(const std::vector<at::Tensor>& tensors, const at::Tensor& row);

}  // namespace codmoe::engine
