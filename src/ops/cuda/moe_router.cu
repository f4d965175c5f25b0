// The router: mean over positions, gate, softmax and the k most probable experts, in two kernels.
#include "attention.cuh"
#include "choose.cuh"
#include "moe_launch.h"

namespace codmoe::ops::cuda {

namespace {

constexpr int kPoolThreads = 256;
constexpr int kChooseThreads = kThreads;

/// sums[b, split, c] over the split's positions. Grid (kPoolSplits, B).
template <class T>
__global__ void __launch_bounds__(kPoolThreads)
    pool_kernel(Shape shape, const T* x, float* sums, int* counters, int counter_count) {
  constexpr int n = kLanes<T>;
  __shared__ float shared[kPoolThreads * kLanes<__nv_bfloat16>];
  const int block = static_cast<int>(blockIdx.y) * kPoolSplits + static_cast<int>(blockIdx.x);
  for (int i = block * kPoolThreads + static_cast<int>(threadIdx.x); i < counter_count;
       i += kPoolThreads * kPoolSplits * shape.batch)
    counters[i] = 0;
  const int chunks = shape.channels / n;
  const int rows = kPoolThreads / chunks;  // positions at once
  const int row = static_cast<int>(threadIdx.x) / chunks, chunk = static_cast<int>(threadIdx.x) % chunks;
  const int positions = shape.positions;
  const int first = positions * static_cast<int>(blockIdx.x) / kPoolSplits;
  const int last = positions * (static_cast<int>(blockIdx.x) + 1) / kPoolSplits;
  const T* image = x + static_cast<int64_t>(blockIdx.y) * positions * shape.channels;
  allow_next_kernel();
  float total[n] = {};
  if (row < rows) {
#pragma unroll 4
    for (int p = first + row; p < last; p += rows) {
      float values[n];
      load_chunk(image + static_cast<int64_t>(p) * shape.channels + chunk * n, values);
#pragma unroll
      for (int i = 0; i < n; ++i) total[i] += values[i];
    }
#pragma unroll
    for (int i = 0; i < n; ++i) shared[row * shape.channels + chunk * n + i] = total[i];
  }
  __syncthreads();
  for (int c = static_cast<int>(threadIdx.x); c < shape.channels; c += kPoolThreads) {
    float sum = 0.0F;
    for (int r = 0; r < rows; ++r) sum += shared[r * shape.channels + c];
    sums[static_cast<int64_t>(block) * shape.channels + c] = sum;
  }
}

/// Grid (1 + heads, B): the first block of an image writes the choice, the others fold the query of one head each where
/// the image chose attention. Every block makes the choice itself, which is quicker than to wait for another.
template <class T>
__global__ void __launch_bounds__(kChooseThreads)
    choose_kernel(const __grid_constant__ Layer layer, const float* sums, float* folded) {
  __shared__ float mean[kMaxChannels];
  __shared__ Chosen chosen;
  __shared__ float work[2 * kMaxChannels + kChooseThreads * kLanes<T>];
  const Shape& shape = layer.shape;
  const Choice& choice = layer.choice;
  const int image = static_cast<int>(blockIdx.y), thread = static_cast<int>(threadIdx.x);
  wait_for_previous_kernel();
  for (int c = thread; c < shape.channels; c += kChooseThreads) {
    float total = 0.0F;
#pragma unroll
    for (int split = 0; split < kPoolSplits; ++split)
      total += sums[(static_cast<int64_t>(image) * kPoolSplits + split) * shape.channels + c];
    mean[c] = total / static_cast<float>(shape.positions);
    if (blockIdx.x == 0) choice.mean[static_cast<int64_t>(image) * shape.channels + c] = mean[c];
  }
  __syncthreads();
  choose_experts(shape, layer.router, nullptr, image, mean, chosen);
  if (blockIdx.x == 0) {
    write_choice(shape, choice, image, chosen);
    return;
  }
  const int head = static_cast<int>(blockIdx.x) - 1;
  for (int k = 0; k < shape.top_k; ++k) {
    const Attention& attention = layer.experts[chosen.experts[k]].attention;
    if (attention.heads == 0) continue;
    const int64_t slot = static_cast<int64_t>(image) * shape.top_k + k;
    fold_query<T>(attention, layer.bfloat16_vectors, shape.channels, mean, head,
                  folded + (slot * kHeads + head) * shape.channels, work);
    __syncthreads();
  }
}

template <class T>
cudaError_t launch(const Layer& layer, const Scratch& scratch, int counters, cudaStream_t stream) {
  const Shape& shape = layer.shape;
  auto* sums = reinterpret_cast<float*>(scratch.base + scratch.pooled);
  auto* zeroed = reinterpret_cast<int*>(scratch.base + scratch.counters);
  auto* folded = reinterpret_cast<float*>(scratch.base + scratch.folded);
  const auto batch = static_cast<unsigned>(shape.batch);
  pool_kernel<<<dim3(kPoolSplits, batch), kPoolThreads, 0, stream>>>(shape, static_cast<const T*>(layer.x), sums,
                                                                     zeroed, counters);
  bool attention = false;
  for (int e = 0; e < shape.experts; ++e) attention = attention || layer.experts[e].attention.heads > 0;
  return launch_after(choose_kernel<T>, dim3(attention ? 1 + kHeads : 1, batch), kChooseThreads, 0, stream, layer,
                      static_cast<const float*>(sums), folded);
}

}  // namespace

bool has_code() {
  cudaFuncAttributes attributes{};
  const bool found = cudaFuncGetAttributes(&attributes, pool_kernel<float>) == cudaSuccess;
  if (!found) cudaGetLastError();  // or it would be taken for a later launch's
  return found;
}

cudaError_t launch_router(const Layer& layer, const Scratch& scratch, int counters, cudaStream_t stream) {
  if (layer.math == Math::bfloat16) return launch<__nv_bfloat16>(layer, scratch, counters, stream);
  return launch<float>(layer, scratch, counters, stream);
}

}  // namespace codmoe::ops::cuda
