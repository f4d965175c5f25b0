// Which kernels a call spends its time in.
#pragma once

#include <c10/core/Device.h>

#include <filesystem>
#include <functional>
#include <string>

namespace codmoe::bench {

/// Runs `call` once to warm up and some times under LibTorch's profiler, writes a Chrome trace of these to `file`, and
/// returns a table of the last `repeats`: the share of the time in which the GPU was busy, and each kernel's count and
/// time a call, longest first; a kernel that overlaps one before counts from that one's end. Each call must queue the
/// same kernels. @throws core::Error where no kernel was seen.
std::string profile_kernels(const std::function<void()>& call, const c10::Device& device, int repeats,
                            const std::filesystem::path& file);

}  // namespace codmoe::bench
