// Attention with a pooled query, in three steps: the folded query of each head (with the router), softmax and weighted
// sum over a chunk of positions for all heads, and the values of each head from all chunks. The chunks keep their own
// maximum, as in FlashAttention's split along keys (Dao 2023).
#pragma once

#include "conv_tile.cuh"
#include "vectors.cuh"

namespace codmoe::ops::cuda {

/// Positions of one chunk.
template <class T>
constexpr int kAttentionPositions = attention_positions(static_cast<int>(sizeof(T)));

/// What the chunks of one slot leave: float [chunks, kHeads, C] sums and [chunks, kHeads, 2] maxima and totals.
struct AttentionPartials {
  float* sums;
  float* totals;
};

/// folded[c] = norm scale * sum over the head's rows of (query . norm(mean) + bias) * key / sqrt(width), for one head.
/// `shared` holds 2 * C + blockDim * kLanes floats.
template <class T>
__device__ void fold_query(const Attention& attention, bool bfloat16_vectors, int channels, const float* mean, int head,
                           float* folded, float* shared) {
  const int thread = static_cast<int>(threadIdx.x), threads = static_cast<int>(blockDim.x);
  const int width = channels / attention.heads;
  const T* qkv = static_cast<const T*>(attention.qkv);
  float *input = shared, *query = shared + channels, *parts = query + channels;
  for (int c = thread; c < channels; c += threads) {
    const Affine norm = affine_at(attention.norm, c, bfloat16_vectors);
    input[c] = norm.scale * mean[c] + norm.shift;
  }
  __syncthreads();
  warp_rows(qkv + static_cast<int64_t>(head) * width * channels, channels, width, input, [&](int j, float dot) {
    query[j] = dot + vector_at(attention.qkv_bias, head * width + j, bfloat16_vectors);
  });
  __syncthreads();
  // The key's bias and the norm's shift add the same to every position, which softmax ignores.
  const T* keys = qkv + static_cast<int64_t>(channels + head * width) * channels;
  weigh_rows(keys, channels, width, query, parts, [&](int c, float total) {
    folded[c] = total * attention.root * affine_at(attention.norm, c, bfloat16_vectors).scale;
  });
}

/// Scores of the chunk's positions for all heads: p[position, head], zero beyond the image. Threads share positions.
template <class T>
__device__ void score_positions(const char* rows, int row_bytes, const float* folded, int channels, int count,
                                float* p) {
  constexpr int n = kLanes<T>, positions = kAttentionPositions<T>;
  constexpr int heads = kHeads * positions / kThreads;  // a thread
  const int position = static_cast<int>(threadIdx.x) % positions;
  const int first_head = static_cast<int>(threadIdx.x) / positions * heads;
  const auto* row = reinterpret_cast<const T*>(rows + position * row_bytes);
  float dots[heads] = {};
  for (int c = 0; c < channels; c += n) {
    float values[n];
    load_chunk(row + c, values);
#pragma unroll
    for (int h = 0; h < heads; ++h) {
#pragma unroll
      for (int i = 0; i < n; i += 4) {
        const float4 key = *reinterpret_cast<const float4*>(folded + (first_head + h) * channels + c + i);
        dots[h] += key.x * values[i] + key.y * values[i + 1] + key.z * values[i + 2] + key.w * values[i + 3];
      }
    }
  }
#pragma unroll
  for (int h = 0; h < heads; ++h) p[position * kHeads + first_head + h] = position < count ? dots[h] : -INFINITY;
}

/// sums[head][c] over the chunk's positions of p[position, head] * rows[position][c].
template <class T>
__device__ void weigh_positions(const char* rows, int row_bytes, const float* p, int channels, float* sums) {
  for (int c = static_cast<int>(threadIdx.x); c < channels; c += static_cast<int>(blockDim.x)) {
    float totals[kHeads] = {};
#pragma unroll 4
    for (int i = 0; i < kAttentionPositions<T>; ++i) {
      const float value = to_float(*reinterpret_cast<const T*>(rows + i * row_bytes + c * static_cast<int>(sizeof(T))));
      const auto* shares = reinterpret_cast<const float4*>(p + i * kHeads);
      const float4 a = shares[0], b = shares[1];
      totals[0] += a.x * value;
      totals[1] += a.y * value;
      totals[2] += a.z * value;
      totals[3] += a.w * value;
      totals[4] += b.x * value;
      totals[5] += b.y * value;
      totals[6] += b.z * value;
      totals[7] += b.w * value;
    }
#pragma unroll
    for (int head = 0; head < kHeads; ++head) sums[head * channels + c] = totals[head];
  }
}

/// Shared memory that `attend` takes.
template <class T>
__host__ __device__ constexpr int attend_bytes(int channels) {
  constexpr int element = static_cast<int>(sizeof(T)), single = static_cast<int>(sizeof(float));
  return kAttentionPositions<T> * (channels * element + 16) + kHeads * (channels + kAttentionPositions<T>)*single;
}

/// One chunk of positions of one slot, all heads.
template <class T>
__device__ void attend(const Shape& shape, const T* image, const float* folded, int chunk, AttentionPartials partials,
                       char* shared) {
  constexpr int positions = kAttentionPositions<T>;
  const int thread = static_cast<int>(threadIdx.x), threads = static_cast<int>(blockDim.x);
  const int channels = shape.channels, row_bytes = channels * static_cast<int>(sizeof(T)) + 16;
  const int first = chunk * positions, count = min(positions, shape.positions - first);
  float* keys = reinterpret_cast<float*>(shared + positions * row_bytes);
  float* p = keys + kHeads * channels;
  const int row_chunks = channels / kLanes<T>;
  for (int i = thread; i < positions * row_chunks; i += threads) {
    const int row = i / row_chunks, at = i % row_chunks;
    const T* from = image + static_cast<int64_t>(first + min(row, count - 1)) * channels + at * kLanes<T>;
    *reinterpret_cast<uint4*>(shared + row * row_bytes + at * 16) = *reinterpret_cast<const uint4*>(from);
  }
  for (int i = thread; i < kHeads * channels / 4; i += threads)
    reinterpret_cast<float4*>(keys)[i] = reinterpret_cast<const float4*>(folded)[i];
  __syncthreads();
  score_positions<T>(shared, row_bytes, keys, channels, count, p);
  __syncthreads();

  for (int head = thread / 32; head < kHeads; head += threads / 32) {
    float highest = -INFINITY, total = 0.0F;
    for (int i = thread % 32; i < positions; i += 32) highest = fmaxf(highest, p[i * kHeads + head]);
    highest = max_over_warp(highest);
    for (int i = thread % 32; i < positions; i += 32) {
      const float share = expf(p[i * kHeads + head] - highest);
      p[i * kHeads + head] = share;
      total += share;
    }
    total = sum_over_warp(total);
    if (thread % 32 == 0) {
      partials.totals[(chunk * kHeads + head) * 2] = highest;
      partials.totals[(chunk * kHeads + head) * 2 + 1] = total;
    }
  }
  __syncthreads();
  weigh_positions<T>(shared, row_bytes, p, channels, partials.sums + static_cast<int64_t>(chunk) * kHeads * channels);
}

/// answer[j] of one head = value_j . norm(weighted mean of x) + bias, from all chunks. `shared` holds C floats.
template <class T>
__device__ void gather_values(const Attention& attention, bool bfloat16_vectors, int channels, int chunks,
                              AttentionPartials partials, int head, float* answer, float* shared) {
  const int thread = static_cast<int>(threadIdx.x), threads = static_cast<int>(blockDim.x);
  const int width = channels / attention.heads;
  float highest = -INFINITY, total = 0.0F;
  for (int k = 0; k < chunks; ++k) highest = fmaxf(highest, partials.totals[(k * kHeads + head) * 2]);
  for (int k = 0; k < chunks; ++k) {
    const float* own = partials.totals + (k * kHeads + head) * 2;
    total += own[1] * expf(own[0] - highest);
  }
  for (int c = thread; c < channels; c += threads) {
    float sum = 0.0F;
#pragma unroll 4
    for (int k = 0; k < chunks; ++k) {
      const float share = expf(partials.totals[(k * kHeads + head) * 2] - highest);
      sum += share * partials.sums[(k * kHeads + head) * channels + c];
    }
    const Affine norm = affine_at(attention.norm, c, bfloat16_vectors);
    shared[c] = norm.scale * (sum / total) + norm.shift;
  }
  __syncthreads();
  const int first_row = 2 * channels + head * width;
  warp_rows(static_cast<const T*>(attention.qkv) + static_cast<int64_t>(first_row) * channels, channels, width, shared,
            [&](int j, float dot) {
              answer[head * width + j] = dot + vector_at(attention.qkv_bias, first_row + j, bfloat16_vectors);
            });
}

}  // namespace codmoe::ops::cuda
