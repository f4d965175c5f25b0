#include "benchmarks/cache.h"

#include <ATen/ATen.h>
#include <c10/util/Exception.h>

#ifdef CODMOE_CUDA
#include <ATen/cuda/CUDAContext.h>
#include <c10/cuda/CUDAException.h>
#include <c10/cuda/CUDAGuard.h>
#include <cuda_runtime_api.h>

#include <memory>
#endif

namespace codmoe::bench {

namespace {

constexpr int64_t kCpuCacheBytes = int64_t{1} << 26;

#ifdef CODMOE_CUDA

int64_t l2_bytes(const c10::Device& device) { return at::cuda::getDeviceProperties(device.index())->l2CacheSize; }

/// Its memory is no tensor, since `peak_bytes` counts those.
std::function<void()> gpu_eviction(const c10::Device& device) {
  const c10::cuda::CUDAGuard guard(device);
  const auto bytes = static_cast<std::size_t>(eviction_bytes(device));
  void* memory = nullptr;
  C10_CUDA_CHECK(cudaMalloc(&memory, bytes));
  const std::shared_ptr<void> scratch(memory, [](void* pointer) { C10_CUDA_CHECK_WARN(cudaFree(pointer)); });
  return [device, bytes, scratch] {
    const c10::cuda::CUDAGuard current(device);
    C10_CUDA_CHECK(cudaMemsetAsync(scratch.get(), 0, bytes, c10::cuda::getCurrentCUDAStream(device.index())));
  };
}

#else

int64_t l2_bytes(const c10::Device&) { TORCH_CHECK(false, "this build has no CUDA"); }

std::function<void()> gpu_eviction(const c10::Device&) { TORCH_CHECK(false, "this build has no CUDA"); }

#endif

}  // namespace

int64_t eviction_bytes(const c10::Device& device) { return 2 * (device.is_cpu() ? kCpuCacheBytes : l2_bytes(device)); }

std::function<void()> eviction(const c10::Device& device) {
  if (!device.is_cpu()) return gpu_eviction(device);
  return [scratch = at::empty({eviction_bytes(device)}, at::kByte)] { scratch.fill_(1); };
}

Workload cold(const Workload& workload, std::function<void()> evict) {
  auto result = workload;
  result.prepare = [prepare = workload.prepare, evict = std::move(evict)](int64_t set) {
    prepare(set);
    evict();
  };
  return result;
}

}  // namespace codmoe::bench
