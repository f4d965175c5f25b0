#include "codmoe/core/device.h"

#include <ATen/Context.h>
#include <ATen/Parallel.h>
#include <ATen/detail/CUDAHooksInterface.h>
#include <c10/core/CachingDeviceAllocator.h>
#include <c10/core/impl/VirtualGuardImpl.h>
#include <fmt/format.h>
#include <unistd.h>

#include <algorithm>
#include <fstream>
#include <limits>
#include <optional>

#ifdef CODMOE_CUDA
#include <ATen/cuda/CUDAContext.h>
#include <c10/cuda/CUDAException.h>
#include <c10/cuda/CUDAGuard.h>
#endif

#include "codmoe/core/error.h"

namespace codmoe::core {

namespace {

/// Of "cuda" or "cuda:N", or nothing for another name.
std::optional<c10::DeviceIndex> cuda_index(const std::string& text) {
  if (text == "cuda") return c10::DeviceIndex{0};
  if (!text.starts_with("cuda:")) return std::nullopt;
  const auto digits = text.substr(5);
  if (digits.empty() || digits.size() > 2 || digits.find_first_not_of("0123456789") != std::string::npos) {
    return std::nullopt;
  }
  return static_cast<c10::DeviceIndex>(std::stoi(digits));
}

int64_t gpu_count() { return at::hasCUDA() ? static_cast<int64_t>(at::detail::getCUDAHooks().deviceCount()) : 0; }

}  // namespace

void check_device_name(const std::string& text) {
  if (text == "auto" || text == "cpu" || cuda_index(text)) return;
  throw UsageError(fmt::format("--device: '{}' is unknown; allowed are auto, cpu, cuda, cuda:N", text));
}

c10::Device parse_device(const std::string& text) {
  check_device_name(text);
  if (text == "cpu") return c10::kCPU;
  if (text == "auto") return gpu_count() > 0 ? c10::Device(c10::kCUDA, 0) : c10::Device(c10::kCPU);
  const auto index = *cuda_index(text);
  if (index >= gpu_count()) {
    throw UsageError(fmt::format("--device: {} is not there; this machine shows {} CUDA devices", text, gpu_count()));
  }
  return {c10::kCUDA, index};
}

std::string device_name(const c10::Device& device) {
#ifdef CODMOE_CUDA
  if (device.is_cuda()) return at::cuda::getDeviceProperties(device.index())->name;
#endif
  return fmt::format("{}, {} threads", device.is_cpu() ? "CPU" : device.str(), at::get_num_threads());
}

void synchronize(const c10::Device& device) {
  if (!device.is_cpu()) c10::impl::VirtualGuardImpl(device.type()).synchronizeDevice(device.index());
}

namespace {

int64_t available_on_machine() {
  std::ifstream file("/proc/meminfo");
  for (std::string line; std::getline(file, line);) {
    if (line.starts_with("MemAvailable:")) return std::stoll(line.substr(line.find(':') + 1)) * 1024;
  }
  throw Error("/proc/meminfo: names no MemAvailable");
}

/// Of a container that may take less than its machine has (cgroup v2); the whole range where none is set.
int64_t available_in_container() {
  int64_t limit = 0, used = 0;
  const bool limited = static_cast<bool>(std::ifstream("/sys/fs/cgroup/memory.max") >> limit) &&
                       static_cast<bool>(std::ifstream("/sys/fs/cgroup/memory.current") >> used);
  return limited ? std::max<int64_t>(0, limit - used) : std::numeric_limits<int64_t>::max();
}

}  // namespace

int64_t free_memory(const c10::Device& device) {
  if (device.is_cpu()) return std::min(available_on_machine(), available_in_container());
#ifdef CODMOE_CUDA
  const c10::cuda::CUDAGuard guard(device);
  std::size_t free = 0, total = 0;
  C10_CUDA_CHECK(cudaMemGetInfo(&free, &total));
  return static_cast<int64_t>(free);
#else
  throw Error(fmt::format("{}: this build has no CUDA", device.str()));
#endif
}

int64_t resident_memory() {
  int64_t pages = 0, resident = 0;
  if (!(std::ifstream("/proc/self/statm") >> pages >> resident)) throw Error("/proc/self/statm: cannot be read");
  return resident * ::sysconf(_SC_PAGESIZE);
}

DeviceMemory device_memory(const c10::Device& device) {
  at::globalContext().lazyInitDevice(device.type());  // LibTorch's allocator knows no device before
  const auto stats = at::getDeviceAllocator(device.type())->getDeviceStats(device.index());
  const auto all = static_cast<std::size_t>(c10::CachingAllocator::StatType::AGGREGATE);
  return {.allocated = stats.allocated_bytes[all].current,
          .reserved = stats.reserved_bytes[all].current,
          .peak_reserved = stats.reserved_bytes[all].peak};
}

void release_memory(const c10::Device& device) {
  if (device.is_cpu()) return;
  at::globalContext().lazyInitDevice(device.type());
  at::getDeviceAllocator(device.type())->emptyCache();
}

}  // namespace codmoe::core
