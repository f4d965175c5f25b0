// The device a program runs on.
#pragma once

#include <c10/core/Device.h>

#include <cstdint>
#include <string>

namespace codmoe::core {

/// "auto" (CUDA if there is a GPU, else the CPU), "cpu", "cuda" or "cuda:N".
/// @throws UsageError for another word or a GPU that is not there.
c10::Device parse_device(const std::string& text);

/// Without asking for GPUs. @throws UsageError for another word.
void check_device_name(const std::string& text);

/// "NVIDIA H100 80GB HBM3" or "CPU, 2 threads".
std::string device_name(const c10::Device& device);

/// Waits for everything queued on the device; nothing to do on the CPU. @throws c10::Error where the GPU failed.
void synchronize(const c10::Device& device);

/// Bytes that could be allocated now: of a CUDA device, or of main memory (Linux's MemAvailable, or what a
/// container may still take, if that is less).
int64_t free_memory(const c10::Device& device);

/// Bytes of main memory that this process has in use.
int64_t resident_memory();

/// What LibTorch holds of a CUDA device, in bytes.
struct DeviceMemory {
  int64_t allocated = 0;      ///< by tensors
  int64_t reserved = 0;       ///< with what is kept for later ones
  int64_t peak_reserved = 0;  ///< the most so far
};
DeviceMemory device_memory(const c10::Device& device);

/// Gives back what LibTorch keeps of a CUDA device without a tensor or a captured graph that uses it. On the CPU it
/// does nothing.
void release_memory(const c10::Device& device);

}  // namespace codmoe::core
