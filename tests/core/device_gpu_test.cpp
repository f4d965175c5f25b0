#include <gtest/gtest.h>

#include <cstdlib>

#include "codmoe/core/device.h"
#include "support/cuda.h"

namespace codmoe::core {
namespace {

/// In a process of its own, where nothing has used the device before.
TEST(DeviceGpuDeathTest, TellsTheMemoryOfADeviceNotUsedYet) {
  if (!test::has_cuda()) GTEST_SKIP() << "no CUDA device";
  GTEST_FLAG_SET(death_test_style, "threadsafe");
  EXPECT_EXIT(std::exit(device_memory(c10::Device(c10::kCUDA, 0)).allocated == 0 ? 0 : 1), testing::ExitedWithCode(0),
              "");
}

}  // namespace
}  // namespace codmoe::core
