// Sums over the rows of a matrix, as gradients of biases need them.
#pragma once

#include <cuda_runtime.h>

#include <cstdint>

namespace codmoe::ops::cuda {

/// sums[c] = partial[0][c] + ... + partial[count - 1][c], in this order: float32 [count, columns] -> [columns].
cudaError_t sum_partials(const float* partial, int64_t count, int64_t columns, float* sums, cudaStream_t stream);

/// x [rows, columns], float32 or bfloat16, columns even.
struct ColumnSums {
  const void* x;
  bool bfloat16;
  int64_t rows, columns;
};
/// How many partial sums column_sums() writes.
int64_t column_sum_parts(const ColumnSums& sums);
/// partial: float32 [column_sum_parts, columns], scratch; out: float32 [columns]. The same bits each time.
cudaError_t column_sums(const ColumnSums& sums, float* partial, float* out, cudaStream_t stream);

}  // namespace codmoe::ops::cuda
