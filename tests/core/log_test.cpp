#include "codmoe/core/log.h"

#include <gtest/gtest.h>
#include <spdlog/spdlog.h>

#include "codmoe/core/error.h"

namespace codmoe::core {
namespace {

TEST(Log, WritesOnStandardErrorFromItsLevelOn) {
  testing::internal::CaptureStdout();
  testing::internal::CaptureStderr();
  init_log("warn");
  spdlog::info("quiet");
  spdlog::warn("loud");
  const auto errors = testing::internal::GetCapturedStderr();
  EXPECT_EQ(errors.find("quiet"), std::string::npos);
  EXPECT_NE(errors.find("loud"), std::string::npos);
  EXPECT_EQ(testing::internal::GetCapturedStdout(), "");
}

TEST(Log, UnknownLevelsNameTheKnown) {
  try {
    init_log("loud");
    FAIL() << "it was accepted";
  } catch (const UsageError& error) {
    EXPECT_STREQ(error.what(), "--log-level: 'loud' is unknown; allowed are trace, debug, info, warn, error, off");
  }
  EXPECT_NO_THROW(init_log("off"));
  init_log("info");
}

}  // namespace
}  // namespace codmoe::core
