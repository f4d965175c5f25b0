#include "codmoe/core/device.h"

#include <ATen/Context.h>
#include <ATen/Parallel.h>
#include <ATen/detail/CUDAHooksInterface.h>
#include <c10/core/impl/VirtualGuardImpl.h>
#include <fmt/format.h>

#ifdef CODMOE_CUDA
#include <ATen/cuda/CUDAContext.h>
#endif

#include "codmoe/core/error.h"

namespace codmoe::core {

namespace {

c10::DeviceIndex parse_index(const std::string& text) {
  const std::string digits = text.size() > 4 ? text.substr(5) : "0";
  if (digits.empty() || digits.size() > 2 || digits.find_first_not_of("0123456789") != std::string::npos) {
    throw UsageError(fmt::format("--device: '{}' is unknown; allowed are auto, cpu, cuda, cuda:N", text));
  }
  return static_cast<c10::DeviceIndex>(std::stoi(digits));
}

int64_t gpu_count() { return at::hasCUDA() ? static_cast<int64_t>(at::detail::getCUDAHooks().deviceCount()) : 0; }

}  // namespace

c10::Device parse_device(const std::string& text) {
  if (text == "cpu") return c10::kCPU;
  if (text == "auto") return gpu_count() > 0 ? c10::Device(c10::kCUDA, 0) : c10::Device(c10::kCPU);
  if (text != "cuda" && !text.starts_with("cuda:")) {
    throw UsageError(fmt::format("--device: '{}' is unknown; allowed are auto, cpu, cuda, cuda:N", text));
  }
  const auto index = parse_index(text);
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

}  // namespace codmoe::core
