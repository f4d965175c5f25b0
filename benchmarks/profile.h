// Which kernels a call spends its time in.
#pragma once

#include <c10/core/Device.h>

#include <filesystem>
#include <functional>
#include <string>

namespace codmoe::bench {

/// Runs `call` once to warm up and `repeats` times under LibTorch's profiler, writes a Chrome trace to `file`, and
/// returns a table: the share of the time in which the GPU was busy, and each kernel's count and time a call, longest
/// first. @throws core::Error where no kernel was seen.
std::string profile_kernels(const std::function<void()>& call, const c10::Device& device, int repeats,
                            const std::filesystem::path& file);

}  // namespace codmoe::bench
