#include "codmoe/engine/run_lock.h"

#include <gtest/gtest.h>
#include <unistd.h>

#include "codmoe/core/error.h"
#include "codmoe/core/files.h"
#include "support/temporary_folder.h"

namespace codmoe::engine {
namespace {

TEST(RunLock, SecondHolderIsRefusedAndTheFirstNamed) {
  const test::TemporaryFolder folder;
  const RunLock first(folder / "run");
  try {
    const RunLock second(folder / "run");
    FAIL() << "nothing was thrown";
  } catch (const core::Error& error) {
    const auto message = std::string(error.what());
    EXPECT_NE(message.find("process " + std::to_string(::getpid()) + " on "), std::string::npos) << message;
    EXPECT_NE(message.find((folder / "run").string()), std::string::npos) << message;
  }
}

TEST(RunLock, EndsWithItsHolder) {
  const test::TemporaryFolder folder;
  { const RunLock first(folder); }
  EXPECT_NO_THROW(RunLock{folder});
}

TEST(RunLock, FolderThatCannotBeMadeIsNamed) {
  const test::TemporaryFolder folder;
  core::write_file_atomically(folder / "file", "");
  EXPECT_THROW(RunLock(folder / "file" / "run"), core::Error);
}

}  // namespace
}  // namespace codmoe::engine
