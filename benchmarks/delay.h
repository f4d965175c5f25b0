// A kernel that keeps a GPU busy while the host queues work behind it.
#pragma once

#include <c10/core/Device.h>

namespace codmoe::bench {

/// Only CUDA devices, in a build with CUDA.
bool can_delay(const c10::Device& device);

/// Queues about `ms` of idling on the device's current stream. @throws c10::Error where can_delay() is false.
void delay(const c10::Device& device, double ms);

}  // namespace codmoe::bench
