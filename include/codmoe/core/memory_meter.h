// Bytes that LibTorch's CPU allocator has handed out.
#pragma once

#include <c10/core/Allocator.h>
#include <c10/util/ThreadLocalDebugInfo.h>

#include <algorithm>
#include <cstdint>
#include <memory>

namespace codmoe::core {

/// Counts from its construction on, on this thread and in the backward passes that it starts, by the hook that
/// LibTorch's memory profiler uses.
class MemoryMeter {
 public:
  /// Allocated since the meter was made and not freed since.
  int64_t live() const { return counter_->live; }
  int64_t peak() const { return counter_->peak; }

 private:
  struct Counter final : c10::MemoryReportingInfoBase {
    void reportMemoryUsage(void* /*pointer*/, int64_t bytes, std::size_t /*allocated*/, std::size_t /*reserved*/,
                           c10::Device /*device*/) override {
      live += bytes;  // negative where memory is freed
      peak = std::max(peak, live);
    }
    bool memoryProfilingEnabled() const override { return true; }
    int64_t live = 0;
    int64_t peak = 0;
  };

  std::shared_ptr<Counter> counter_ = std::make_shared<Counter>();
  c10::DebugInfoGuard guard_{c10::DebugInfoKind::PROFILER_STATE, counter_};
};

}  // namespace codmoe::core
