// CODMOE_VECTOR_CLONES before a function compiles it for 256-bit registers too; which one runs is chosen at start. The
// results are the same bits: AVX2 without fused products, and the order of operations is that of the source.
#pragma once

// Sanitizers' own start comes after the choice between clones, which they instrument.
#if defined(__x86_64__) && defined(__GNUC__) && !defined(__clang__) && !defined(__SANITIZE_ADDRESS__) && \
    !defined(__SANITIZE_THREAD__)
#define CODMOE_VECTOR_CLONES __attribute__((target_clones("avx2", "default")))
#else
#define CODMOE_VECTOR_CLONES
#endif
