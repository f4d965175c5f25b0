// Tensor-core products of 16 x 8 tiles, and how their operands come from shared memory. Rows of a tile are 128 bytes in
// eight chunks of 16; chunk c of row r lies at c ^ (r & 7), so that neither copies nor fragment loads meet in a bank.
#pragma once

#include <cuda_bf16.h>

#include <cstdint>

#include "tiling.h"

namespace codmoe::ops::cuda {

constexpr int kChunkBytes = 16;
constexpr int kRowChunks = kStageBytes / kChunkBytes;

__device__ inline uint32_t shared_address(const void* shared) {
  return static_cast<uint32_t>(__cvta_generic_to_shared(shared));
}

__device__ inline uint32_t swizzled(int row, int chunk) {
  return static_cast<uint32_t>(row * kStageBytes + ((chunk ^ (row & 7)) * kChunkBytes));
}

/// Copies 16 bytes to shared memory without waiting; zeros where `present` is false.
__device__ inline void copy_chunk(uint32_t to, const void* from, bool present) {
  const int bytes = present ? kChunkBytes : 0;
  asm volatile("cp.async.cg.shared.global [%0], [%1], 16, %2;" ::"r"(to), "l"(from), "r"(bytes) : "memory");
}
__device__ inline void commit_copies() { asm volatile("cp.async.commit_group;" ::: "memory"); }
template <int kPending>
__device__ inline void wait_for_copies() {
  asm volatile("cp.async.wait_group %0;" ::"n"(kPending) : "memory");
}

/// Four 8 x 16-byte matrices; lane l names row l % 8 of matrix l / 8.
__device__ inline void load_matrices(uint32_t (&r)[4], uint32_t address) {
  asm volatile("ldmatrix.sync.aligned.m8n8.x4.shared.b16 {%0, %1, %2, %3}, [%4];"
               : "=r"(r[0]), "=r"(r[1]), "=r"(r[2]), "=r"(r[3])
               : "r"(address));
}

/// The same, each transposed: of 8 rows and 8 columns of two bytes, a thread gets two rows of one column.
__device__ inline void load_matrices_transposed(uint32_t (&r)[4], uint32_t address) {
  asm volatile("ldmatrix.sync.aligned.m8n8.x4.trans.shared.b16 {%0, %1, %2, %3}, [%4];"
               : "=r"(r[0]), "=r"(r[1]), "=r"(r[2]), "=r"(r[3])
               : "r"(address));
}

/// What differs between the kinds of products: all take 32 bytes of the inner dimension at a time.
template <Math kMath>
struct Product;

template <>
struct Product<Math::bfloat16> {
  using Element = __nv_bfloat16;
  __device__ static void add(float* d, const uint32_t (&a)[4], const uint32_t (&b)[2]) {
    asm("mma.sync.aligned.m16n8k16.row.col.f32.bf16.bf16.f32 {%0, %1, %2, %3}, {%4, %5, %6, %7}, {%8, %9}, "
        "{%0, %1, %2, %3};"
        : "+f"(d[0]), "+f"(d[1]), "+f"(d[2]), "+f"(d[3])
        : "r"(a[0]), "r"(a[1]), "r"(a[2]), "r"(a[3]), "r"(b[0]), "r"(b[1]));
  }
};

__device__ inline uint32_t to_tf32(uint32_t value) {
  uint32_t rounded;
  asm("cvt.rna.tf32.f32 %0, %1;" : "=r"(rounded) : "f"(__uint_as_float(value)));
  return rounded;
}

__device__ inline void add_tf32(float* d, const uint32_t (&a)[4], const uint32_t (&b)[2]) {
  asm("mma.sync.aligned.m16n8k8.row.col.f32.tf32.tf32.f32 {%0, %1, %2, %3}, {%4, %5, %6, %7}, {%8, %9}, "
      "{%0, %1, %2, %3};"
      : "+f"(d[0]), "+f"(d[1]), "+f"(d[2]), "+f"(d[3])
      : "r"(a[0]), "r"(a[1]), "r"(a[2]), "r"(a[3]), "r"(b[0]), "r"(b[1]));
}

template <>
struct Product<Math::tf32> {
  using Element = float;
  __device__ static void add(float* d, const uint32_t (&a)[4], const uint32_t (&b)[2]) {
    const uint32_t a_rounded[4] = {to_tf32(a[0]), to_tf32(a[1]), to_tf32(a[2]), to_tf32(a[3])};
    const uint32_t b_rounded[2] = {to_tf32(b[0]), to_tf32(b[1])};
    add_tf32(d, a_rounded, b_rounded);
  }
};

/// a = high + low with 11 bits each: the product of the low parts is below float32's rounding. Source of the method:
/// Markidis et al. 2018, CUTLASS's 3xTF32.
template <>
struct Product<Math::float32> {
  using Element = float;
  __device__ static uint32_t low_part(uint32_t value, uint32_t high) {
    return to_tf32(__float_as_uint(__uint_as_float(value) - __uint_as_float(high)));
  }
  __device__ static void add(float* d, const uint32_t (&a)[4], const uint32_t (&b)[2]) {
    uint32_t a_high[4], a_low[4], b_high[2], b_low[2];
#pragma unroll
    for (int i = 0; i < 4; ++i) {
      a_high[i] = to_tf32(a[i]);
      a_low[i] = low_part(a[i], a_high[i]);
    }
#pragma unroll
    for (int i = 0; i < 2; ++i) {
      b_high[i] = to_tf32(b[i]);
      b_low[i] = low_part(b[i], b_high[i]);
    }
    add_tf32(d, a_low, b_high);
    add_tf32(d, a_high, b_low);
    add_tf32(d, a_high, b_high);
  }
};

}  // namespace codmoe::ops::cuda
