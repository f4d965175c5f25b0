// The backward of attention with a pooled query, of which only maps [N, heads] and vectors of a slot are ever stored:
// in order the answer and the folded query (a block a head), softmax (a block a chunk of positions), the keys (a block
// a head), the norm (a block some channels of an expert) and, for the kernel that writes it, the gradient of x.
#pragma once

#include "attention.cuh"
#include "outer_gradient.cuh"
#include "training_memory.h"

namespace codmoe::ops::cuda {

constexpr int kNormChannels = 32;  ///< of one block of run_attention_norm

/// A norm by its batch's statistics, a value a channel.
struct BatchNorm {
  const float *mean = nullptr, *rstd = nullptr, *gamma = nullptr, *beta = nullptr;

  __device__ float scale(int c) const { return gamma[c] * rstd[c]; }
  __device__ Affine affine(int c) const { return {scale(c), beta[c] - mean[c] * scale(c)}; }
};

/// One expert's parameters as packed, weights in the element type, and its norm.
template <class T>
struct AttentionWeights {
  const T* qkv = nullptr;            ///< [3C, C]
  const T* proj_reversed = nullptr;  ///< [C, C], inputs first
  const float* qkv_bias = nullptr;
  BatchNorm norm;
  int channels = 0, positions = 0;
  float root = 0.0F;  ///< Shape::root

  __device__ int width() const { return channels / kHeads; }  ///< of a head
  __device__ int chunks() const { return (positions + kAttentionPositions<T> - 1) / kAttentionPositions<T>; }
};

/// What the forward left for one slot, of x before its norm.
struct AttentionResults {
  const float* mean = nullptr;    ///< [C], of x over the image's positions
  const float* folded = nullptr;  ///< [heads, C]
  const float* sums = nullptr;    ///< AttentionPartials
  const float* totals = nullptr;
};

/// The backward's floats of one slot, in the order of their memory; gradients are of the loss.
struct AttentionVectors {
  float* out_gradient;     ///< [C], of the projection's result, summed over positions: the caller's
  float* answer_gradient;  ///< [C], of what the projection reads
  float* input;            ///< [C], norm(mean of x)
  float* query;            ///< [C]
  float* query_gradient;   ///< [C]
  float* input_gradient;   ///< [C], all heads
  float* key;              ///< [heads, C], keys weighted by the query, over root(width): scores = key . norm(x)
  float* key_gradient;     ///< [heads, C], of the weighted keys before the root: what a key's row gets times its query
  float* seen;             ///< [heads, C], x weighted by softmax
  float* value;            ///< [heads, C], norm(x) weighted by softmax
  float* value_gradient;   ///< [heads, C]
  float* score_sums;       ///< [heads, C], x weighted by the gradients of the scores
  float* input_gradients;  ///< [heads, C], each head's part of input_gradient
  float* shares;           ///< [N, heads], softmax
  float* score_gradients;  ///< [N, heads]
  float* score_sum_partials;  ///< [chunks, heads, C]
};

/// The slot's vectors from its first float, aligned to 16 bytes.
__host__ __device__ inline AttentionVectors attention_vectors(float* first, int channels, int positions) {
  const auto take = [&first](int64_t floats) {
    float* own = first;
    first += floats;
    return own;
  };
  AttentionVectors v;
  for (float** vector : {&v.out_gradient, &v.answer_gradient, &v.input, &v.query, &v.query_gradient, &v.input_gradient})
    *vector = take(channels);
  for (float** vector :
       {&v.key, &v.key_gradient, &v.seen, &v.value, &v.value_gradient, &v.score_sums, &v.input_gradients})
    *vector = take(static_cast<int64_t>(kHeads) * channels);
  v.shares = take(static_cast<int64_t>(positions) * kHeads);
  v.score_gradients = take(static_cast<int64_t>(positions) * kHeads);
  v.score_sum_partials = first;
  return v;
}

/// The maximum of all chunks' scores of a head, and the total of their exponentials. Called by whole warps.
__device__ inline float2 softmax_of_head(const float* totals, int chunks, int head) {
  const auto* own = reinterpret_cast<const float2*>(totals) + head;
  const int lane = static_cast<int>(threadIdx.x) % 32;
  float highest = -INFINITY, total = 0.0F;
  for (int k = lane; k < chunks; k += 32) highest = fmaxf(highest, own[k * kHeads].x);
  highest = max_over_warp(highest);
  for (int k = lane; k < chunks; k += 32) total += own[k * kHeads].y * expf(own[k * kHeads].x - highest);
  return {highest, sum_over_warp(total)};
}

/// input (by head 0), and query and key of one head. It needs no gradient. `shared` of this and of the two other steps
/// a head holds 2 * C + blockDim * kLanes floats.
template <class T>
__device__ void run_query(const AttentionWeights<T>& weights, const AttentionResults& results,
                          const AttentionVectors& vectors, int head, float* shared) {
  const int channels = weights.channels, width = weights.width(), first = head * width;
  float *input = shared, *query = input + channels, *parts = query + channels;
  for (int c = static_cast<int>(threadIdx.x); c < channels; c += static_cast<int>(blockDim.x)) {
    const Affine norm = weights.norm.affine(c);
    input[c] = norm.scale * results.mean[c] + norm.shift;
    if (head == 0) vectors.input[c] = input[c];
  }
  __syncthreads();
  warp_rows(weights.qkv + static_cast<int64_t>(first) * channels, channels, width, input, [&](int j, float dot) {
    query[j] = dot + weights.qkv_bias[first + j];
    vectors.query[first + j] = query[j];
  });
  __syncthreads();
  const T* keys = weights.qkv + static_cast<int64_t>(channels + first) * channels;
  weigh_rows(keys, channels, width, query, parts,
             [&](int c, float total) { vectors.key[head * channels + c] = weights.root * total; });
}

/// answer_gradient, seen, value and value_gradient of one head, from out_gradient.
template <class T>
__device__ void run_answer_gradient(const AttentionWeights<T>& weights, const AttentionResults& results,
                                    const AttentionVectors& vectors, int head, float* shared) {
  const int thread = static_cast<int>(threadIdx.x), threads = static_cast<int>(blockDim.x);
  const int channels = weights.channels, width = weights.width(), first = head * width, chunks = weights.chunks();
  float *out = shared, *answer = out + channels, *parts = answer + channels;
  for (int c = thread; c < channels; c += threads) out[c] = vectors.out_gradient[c];
  __syncthreads();
  warp_rows(weights.proj_reversed + static_cast<int64_t>(first) * channels, channels, width, out,
            [&](int j, float dot) {
              answer[j] = dot;
              vectors.answer_gradient[first + j] = dot;
            });
  const float2 softmax = softmax_of_head(results.totals, chunks, head);
  for (int c = thread; c < channels; c += threads) {
    float sum = 0.0F;
#pragma unroll 8
    for (int k = 0; k < chunks; ++k) {
      const int row = k * kHeads + head;
      sum += expf(results.totals[row * 2] - softmax.x) * results.sums[static_cast<int64_t>(row) * channels + c];
    }
    const Affine norm = weights.norm.affine(c);
    const float seen = sum / softmax.y;
    vectors.seen[head * channels + c] = seen;
    vectors.value[head * channels + c] = norm.scale * seen + norm.shift;
  }
  __syncthreads();
  const T* values = weights.qkv + static_cast<int64_t>(2 * channels + first) * channels;
  weigh_rows(values, channels, width, answer, parts,
             [&](int c, float total) { vectors.value_gradient[head * channels + c] = total; });
}

/// Bytes of run_softmax_gradient's workspace, aligned to 16.
template <class T>
__host__ __device__ constexpr int softmax_gradient_bytes(int channels) {
  constexpr int element = static_cast<int>(sizeof(T)), single = static_cast<int>(sizeof(float));
  return kAttentionPositions<T> * (channels * element + 16) +
         kHeads * (2 * channels + 2 * kAttentionPositions<T>)*single;
}

/// shares, score_gradients and score_sum_partials of one chunk of the slot's image, all heads. Called by kThreads.
template <class T>
__device__ void run_softmax_gradient(const AttentionWeights<T>& weights, const AttentionResults& results,
                                     const AttentionVectors& vectors, const T* image, int chunk, char* shared) {
  constexpr int positions = kAttentionPositions<T>;
  static_assert(kThreads == 32 * kHeads && positions % 32 == 0, "a warp a head, lanes for the positions");
  const int thread = static_cast<int>(threadIdx.x), head = thread / 32, lane = thread % 32;
  const int channels = weights.channels, row_bytes = channels * static_cast<int>(sizeof(T)) + 16;
  const int first = chunk * positions, count = min(positions, weights.positions - first);
  float* keys = reinterpret_cast<float*>(shared + positions * row_bytes);
  float *values = keys + kHeads * channels, *scores = values + kHeads * channels;
  float* answers = scores + positions * kHeads;
  const int row_chunks = channels / kLanes<T>;
  for (int i = thread; i < positions * row_chunks; i += kThreads) {
    const int row = i / row_chunks, at = i % row_chunks;
    const T* from = image + static_cast<int64_t>(first + min(row, count - 1)) * channels + at * kLanes<T>;
    *reinterpret_cast<uint4*>(shared + row * row_bytes + at * 16) = *reinterpret_cast<const uint4*>(from);
  }
  float expected = 0.0F;  // of the head's answers over its softmax
  for (int c = lane; c < channels; c += 32) {
    const int i = head * channels + c;
    keys[i] = results.folded[i];
    values[i] = weights.norm.scale(c) * vectors.value_gradient[i];
    expected += values[i] * vectors.seen[i];
  }
  expected = sum_over_warp(expected);
  const float2 softmax = softmax_of_head(results.totals, weights.chunks(), head);
  __syncthreads();
  score_positions<T>(shared, row_bytes, keys, channels, count, scores);
  score_positions<T>(shared, row_bytes, values, channels, count, answers);
  __syncthreads();

  for (int position = lane; position < positions; position += 32) {
    const int i = position * kHeads + head;
    const bool inside = position < count;
    const float share = inside ? expf(scores[i] - softmax.x) / softmax.y : 0.0F;
    const float gradient = inside ? share * (answers[i] - expected) : 0.0F;
    scores[i] = share;
    answers[i] = gradient;
  }
  __syncthreads();
  for (int i = thread; i < count * kHeads; i += kThreads) {
    vectors.shares[first * kHeads + i] = scores[i];
    vectors.score_gradients[first * kHeads + i] = answers[i];
  }
  weigh_positions<T>(shared, row_bytes, answers, channels,
                     vectors.score_sum_partials + static_cast<int64_t>(chunk) * kHeads * channels);
}

/// score_sums, key_gradient, query_gradient and input_gradients of one head.
template <class T>
__device__ void run_key_gradient(const AttentionWeights<T>& weights, const AttentionVectors& vectors, int head,
                                 float* shared) {
  const int channels = weights.channels, width = weights.width(), first = head * width, chunks = weights.chunks();
  float *key = shared, *query = key + channels, *parts = query + channels;
  for (int c = static_cast<int>(threadIdx.x); c < channels; c += static_cast<int>(blockDim.x)) {
    float sum = 0.0F;
#pragma unroll 8
    for (int k = 0; k < chunks; ++k)
      sum += vectors.score_sum_partials[static_cast<int64_t>(k * kHeads + head) * channels + c];
    vectors.score_sums[head * channels + c] = sum;
    key[c] = weights.root * weights.norm.scale(c) * sum;
    vectors.key_gradient[head * channels + c] = key[c];
  }
  __syncthreads();
  const T* keys = weights.qkv + static_cast<int64_t>(channels + first) * channels;
  warp_rows(keys, channels, width, key, [&](int j, float dot) {
    query[j] = dot;
    vectors.query_gradient[first + j] = dot;
  });
  __syncthreads();
  weigh_rows(weights.qkv + static_cast<int64_t>(first) * channels, channels, width, query, parts,
             [&](int c, float total) { vectors.input_gradients[head * channels + c] = total; });
}

/// Channels from block * kNormChannels of one expert: the norm's gradients, in `means` [C] the means over all its
/// positions of the gradient of norm(x) and of its product with the normed x, and each slot's input_gradient.
/// results_of(slot) and vectors_of(slot) give the slot's AttentionResults and AttentionVectors. A warp takes a slot at
/// a time, so sums have a fixed order. `shared` holds 2 * blockDim floats.
template <class ResultOf, class VectorsOf>
__device__ void run_attention_norm(const BatchNorm& norm, int channels, int positions, const SlotList& list,
                                   ResultOf&& results_of, VectorsOf&& vectors_of, const Parameter& gamma,
                                   const Parameter& beta, float2* means, int block, float* shared) {
  static_assert(kNormChannels == 32, "a lane a channel");
  const int lane = static_cast<int>(threadIdx.x) % 32, c = block * kNormChannels + lane;
  const int warp = static_cast<int>(threadIdx.x) / 32, warps = static_cast<int>(blockDim.x) / 32;
  auto* sums = reinterpret_cast<float2*>(shared);
  const float mean = norm.mean[c];
  float2 sum = {0.0F, 0.0F};
  for (int i = warp; i < list.count; i += warps) {
    const int slot = list.slots[i];
    const AttentionVectors v = vectors_of(slot);
    float values = 0.0F, products = 0.0F, input = 0.0F;
#pragma unroll
    for (int head = 0; head < kHeads; ++head) {
      const int at = head * channels + c;
      input += v.input_gradients[at];
      values += v.value_gradient[at];
      products += v.value_gradient[at] * (v.seen[at] - mean) + v.key[at] * v.score_sums[at];
    }
    v.input_gradient[c] = input;
    sum.x += values + input;
    sum.y += products + input * (results_of(slot).mean[c] - mean);
  }
  sums[warp * kNormChannels + lane] = sum;
  __syncthreads();
  if (warp > 0) return;
  for (int w = 1; w < warps; ++w) {
    sum.x += sums[w * kNormChannels + lane].x;
    sum.y += sums[w * kNormChannels + lane].y;
  }
  // Without slots the statistics are not there.
  if (list.count > 0) sum.y *= norm.rstd[c];
  store_gradient(beta, c, 0, 0, sum.x);
  store_gradient(gamma, c, 0, 0, sum.y);
  const float count = static_cast<float>(max(list.count, 1)) * static_cast<float>(positions);
  means[c] = {sum.x / count, sum.y / count};
}

/// Adds to `gradients` what attention gives to kLanes channels of x from c, at these positions. The same vectors serve
/// all of a thread's positions.
template <class T, int kPositions>
__device__ void add_attention_gradient(const BatchNorm& norm, const AttentionVectors& vectors, const float2* means,
                                       int channels, int positions, const int (&at_positions)[kPositions], int c,
                                       const float (&x)[kPositions][kLanes<T>],
                                       float (&gradients)[kPositions][kLanes<T>]) {
  constexpr int n = kLanes<T>, heads = 4;  // at a time
  float sums[kPositions][n] = {};
#pragma unroll 1
  for (int from = 0; from < kHeads; from += heads) {
    alignas(16) float shares[kPositions][heads], scores[kPositions][heads];
#pragma unroll
    for (int p = 0; p < kPositions; ++p) {
      const int at = at_positions[p] * kHeads + from;
      *reinterpret_cast<float4*>(shares[p]) = *reinterpret_cast<const float4*>(vectors.shares + at);
      *reinterpret_cast<float4*>(scores[p]) = *reinterpret_cast<const float4*>(vectors.score_gradients + at);
    }
#pragma unroll
    for (int head = 0; head < heads; ++head) {
      const int at = (from + head) * channels + c;
#pragma unroll
      for (int i = 0; i < n; i += 4) {
        const float4 value = *reinterpret_cast<const float4*>(vectors.value_gradient + at + i);
        const float4 key = *reinterpret_cast<const float4*>(vectors.key + at + i);
#pragma unroll
        for (int p = 0; p < kPositions; ++p) {
          sums[p][i] += shares[p][head] * value.x + scores[p][head] * key.x;
          sums[p][i + 1] += shares[p][head] * value.y + scores[p][head] * key.y;
          sums[p][i + 2] += shares[p][head] * value.z + scores[p][head] * key.z;
          sums[p][i + 3] += shares[p][head] * value.w + scores[p][head] * key.w;
        }
      }
    }
  }
#pragma unroll
  for (int i = 0; i < n; ++i) {
    const float scale = norm.scale(c + i), slope = norm.rstd[c + i] * means[c + i].y;
    const float same = vectors.input_gradient[c + i] / static_cast<float>(positions) - means[c + i].x;
#pragma unroll
    for (int p = 0; p < kPositions; ++p)
      gradients[p][i] += scale * (sums[p][i] + same - slope * (x[p][i] - norm.mean[c + i]));
  }
}

/// What the rows of a weight of attention get: the parts of qkv, or proj.
enum class AttentionRows { query, key, value, proj };

/// The outer products of these rows. `first` are slot 0's vectors, `stride` the floats from one slot's to the next, and
/// `answers` [slots, C] the forward's.
__device__ inline Outer attention_outer(AttentionRows rows, const AttentionVectors& first, int64_t stride,
                                        const float* answers, int channels) {
  const int width = channels / kHeads;
  switch (rows) {
    case AttentionRows::query:
      return {{first.query_gradient, stride}, {first.input, stride}, channels, channels, 0, 0};
    case AttentionRows::key:
      return {{first.query, stride}, {first.key_gradient, stride}, channels, channels, width, channels};
    case AttentionRows::value:
      return {{first.answer_gradient, stride}, {first.value, stride}, channels, channels, width, 2 * channels};
    default:
      return {{first.out_gradient, stride}, {answers, channels}, channels, channels, 0, 0};
  }
}

/// One block of outer_blocks(C, C): these rows of the weight and of its bias, of which the key's changes nothing.
__device__ inline void run_attention_outer(AttentionRows rows, const Parameter& weight, const Parameter& bias,
                                           const Outer& outer, const SlotList& list, int block) {
  run_outer_gradient(weight, outer, list, block);
  run_outer_bias(bias, outer, rows == AttentionRows::key ? SlotVectors{} : outer.left, list, block);
}

}  // namespace codmoe::ops::cuda
