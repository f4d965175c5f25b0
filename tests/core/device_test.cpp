#include "codmoe/core/device.h"

#include <ATen/Context.h>
#include <ATen/detail/CUDAHooksInterface.h>
#include <gtest/gtest.h>

#include "codmoe/core/error.h"

namespace codmoe::core {
namespace {

int gpu_count() { return at::hasCUDA() ? static_cast<int>(at::detail::getCUDAHooks().deviceCount()) : 0; }

std::string refusal(const std::string& text) {
  try {
    parse_device(text);
  } catch (const UsageError& error) {
    return error.what();
  }
  return "it was accepted";
}

TEST(ParseDevice, TakesTheKnownWords) {
  EXPECT_EQ(parse_device("cpu"), c10::Device(c10::kCPU));
  EXPECT_EQ(parse_device("auto").type(), gpu_count() > 0 ? c10::kCUDA : c10::kCPU);
  if (gpu_count() > 0) {
    EXPECT_EQ(parse_device("cuda"), c10::Device(c10::kCUDA, 0));
  }
}

TEST(ParseDevice, RefusesOthers) {
  for (const char* text : {"", "gpu", "CPU", "cpu:0", "cuda:", "cuda:x", "cuda:-1", "cuda:1x", "cuda0", "cuda:1000"}) {
    EXPECT_EQ(refusal(text), "--device: '" + std::string(text) + "' is unknown; allowed are auto, cpu, cuda, cuda:N");
  }
}

TEST(ParseDevice, RefusesAGpuThatIsNotThere) {
  const auto message = refusal("cuda:" + std::to_string(gpu_count()));
  EXPECT_NE(message.find("is not there"), std::string::npos) << message;
  EXPECT_NE(message.find("shows " + std::to_string(gpu_count()) + " CUDA devices"), std::string::npos) << message;
}

TEST(DeviceName, OfTheCpu) {
  EXPECT_EQ(device_name(c10::kCPU).find("CPU, "), 0U);
  EXPECT_NO_THROW(synchronize(c10::kCPU));
}

}  // namespace
}  // namespace codmoe::core
