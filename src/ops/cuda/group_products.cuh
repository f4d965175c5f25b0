// A tile's bfloat16 products by wgmma (compute capability 9.0): each of two warpgroups multiplies 64 rows with all
// columns, both read from shared memory by the tensor cores themselves.
#pragma once

#include "mma.cuh"

namespace codmoe::ops::cuda {

// Nothing between the copies and the products but addresses: one instruction covers 64 rows, kCols columns and 32 bytes
// of the inner dimension. The wide register lists are all that differs.
#define SUM(d, i) "+f"(d[i]), "+f"(d[i + 1]), "+f"(d[i + 2]), "+f"(d[i + 3])
#define CODMOE_PRODUCT_40(MAJOR)                                \
  asm volatile(                                                 \
      "wgmma.mma_async.sync.aligned.m64n40k16.f32.bf16.bf16 {"  \
      "%0, %1, %2, %3, %4, %5, %6, %7, %8, %9, %10, %11, "      \
      "%12, %13, %14, %15, %16, %17, %18, %19}, "               \
      "%20, %21, 1, 1, 1, " MAJOR ";"                           \
      : SUM(d, 0), SUM(d, 4), SUM(d, 8), SUM(d, 12), SUM(d, 16) \
      : "l"(a), "l"(b))

#define CODMOE_PRODUCT_64(MAJOR)                                                                    \
  asm volatile(                                                                                     \
      "wgmma.mma_async.sync.aligned.m64n64k16.f32.bf16.bf16 {"                                      \
      "%0, %1, %2, %3, %4, %5, %6, %7, %8, %9, %10, %11, "                                          \
      "%12, %13, %14, %15, %16, %17, %18, %19, %20, %21, %22, %23, "                                \
      "%24, %25, %26, %27, %28, %29, %30, %31}, "                                                   \
      "%32, %33, 1, 1, 1, " MAJOR ";"                                                               \
      : SUM(d, 0), SUM(d, 4), SUM(d, 8), SUM(d, 12), SUM(d, 16), SUM(d, 20), SUM(d, 24), SUM(d, 28) \
      : "l"(a), "l"(b))

#define CODMOE_PRODUCT_72(MAJOR)                                                                                \
  asm volatile(                                                                                                 \
      "wgmma.mma_async.sync.aligned.m64n72k16.f32.bf16.bf16 {"                                                  \
      "%0, %1, %2, %3, %4, %5, %6, %7, %8, %9, %10, %11, "                                                      \
      "%12, %13, %14, %15, %16, %17, %18, %19, %20, %21, %22, %23, "                                            \
      "%24, %25, %26, %27, %28, %29, %30, %31, %32, %33, %34, %35}, "                                           \
      "%36, %37, 1, 1, 1, " MAJOR ";"                                                                           \
      : SUM(d, 0), SUM(d, 4), SUM(d, 8), SUM(d, 12), SUM(d, 16), SUM(d, 20), SUM(d, 24), SUM(d, 28), SUM(d, 32) \
      : "l"(a), "l"(b))

#define CODMOE_PRODUCT_80(MAJOR)                                                                                 \
  asm volatile(                                                                                                  \
      "wgmma.mma_async.sync.aligned.m64n80k16.f32.bf16.bf16 {"                                                   \
      "%0, %1, %2, %3, %4, %5, %6, %7, %8, %9, %10, %11, "                                                       \
      "%12, %13, %14, %15, %16, %17, %18, %19, %20, %21, %22, %23, "                                             \
      "%24, %25, %26, %27, %28, %29, %30, %31, %32, %33, %34, %35, "                                             \
      "%36, %37, %38, %39}, "                                                                                    \
      "%40, %41, 1, 1, 1, " MAJOR ";"                                                                            \
      : SUM(d, 0), SUM(d, 4), SUM(d, 8), SUM(d, 12), SUM(d, 16), SUM(d, 20), SUM(d, 24), SUM(d, 28), SUM(d, 32), \
        SUM(d, 36)                                                                                               \
      : "l"(a), "l"(b))
#define CODMOE_PRODUCT(COLS, MAJOR)  \
  if constexpr (COLS == 40) {        \
    CODMOE_PRODUCT_40(MAJOR);        \
  } else if constexpr (COLS == 64) { \
    CODMOE_PRODUCT_64(MAJOR);        \
  } else if constexpr (COLS == 72) { \
    CODMOE_PRODUCT_72(MAJOR);        \
  } else {                           \
    static_assert(COLS == 80);       \
    CODMOE_PRODUCT_80(MAJOR);        \
  }

/// d += a . b for 64 rows, kCols columns and 32 bytes of the inner dimension. kTransposed: the inner dimension runs
/// along the rows of both operands in memory.
template <int kCols, bool kTransposed>
__device__ inline void multiply_group(uint64_t a, uint64_t b, float (&d)[kCols / 2]) {
  if constexpr (kTransposed) {
    CODMOE_PRODUCT(kCols, "1, 1");
  } else {
    CODMOE_PRODUCT(kCols, "0, 0");
  }
}

__device__ inline void begin_products() { asm volatile("wgmma.fence.sync.aligned;" ::: "memory"); }
__device__ inline void commit_products() { asm volatile("wgmma.commit_group.sync.aligned;" ::: "memory"); }

/// Until here the sums and the operands of all products may be in use.
template <int kSums>
__device__ inline void settle_products(float (&sum)[kSums]) {
  asm volatile("wgmma.wait_group.sync.aligned 0;" ::: "memory");
#pragma unroll
  for (int i = 0; i < kSums; ++i) asm volatile("" : "+f"(sum[i])::"memory");
}

/// Makes copied chunks visible to the tensor cores; a barrier must follow.
__device__ inline void publish_to_tensor_cores() { asm volatile("fence.proxy.async.shared::cta;" ::: "memory"); }

/// Rows of 128 bytes, chunks swizzled as in `swizzled`, in blocks of eight rows; `panel` bytes from 64 columns to the
/// next where the inner dimension runs along the rows.
__device__ inline uint64_t group_operand(uint32_t address, uint32_t panel = 16) {
  constexpr uint64_t block = 8 * kStageBytes, swizzle128 = 1;
  return (address & 0x3ffffU) >> 4 | uint64_t{panel >> 4} << 16 | (block >> 4) << 32 | swizzle128 << 62;
}

#undef CODMOE_PRODUCT
#undef CODMOE_PRODUCT_40
#undef CODMOE_PRODUCT_64
#undef CODMOE_PRODUCT_72
#undef CODMOE_PRODUCT_80
#undef SUM

template <int kCols>
class GroupProducts {
 public:
  static constexpr int kSums = kCols / 2;  ///< of a thread

  /// Row and first of two columns of the sums 2 * pair and 2 * pair + 1.
  __device__ static int row_of(int pair) {
    return static_cast<int>(threadIdx.x) / 32 * 16 + pair % 2 * 8 + static_cast<int>(threadIdx.x % 32) / 4;
  }
  __device__ static int col_of(int pair) { return pair / 2 * 8 + static_cast<int>(threadIdx.x % 4) * 2; }

  /// Makes copied chunks visible to the tensor cores; a barrier must follow.
  __device__ static void publish_copies() { publish_to_tensor_cores(); }

  /// Begins to add one stage; chunks beyond the sum hold zeros.
  __device__ void add(uint32_t rows, uint32_t filters, int, float (&sum)[kSums]) {
    const uint64_t a = group_operand(rows + static_cast<uint32_t>(threadIdx.x / 128 * 64 * kStageBytes));
    const uint64_t b = group_operand(filters);
    begin_products();
#pragma unroll
    for (unsigned step = 0; step < kRowChunks / 2; ++step)
      multiply_group<kCols, false>(a + 2 * step, b + 2 * step, sum);
    commit_products();
  }

  /// Until here the sums and the stages added may be in use.
  __device__ static void settle(float (&sum)[kSums]) { settle_products(sum); }
};

}  // namespace codmoe::ops::cuda
