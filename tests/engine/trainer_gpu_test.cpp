#include "codmoe/engine/trainer.h"

#include <gtest/gtest.h>

#include "codmoe/core/device.h"
#include "small_run.h"
#include "support/cuda.h"
#include "support/log_capture.h"
#include "support/temporary_folder.h"
#include "validation_set.h"

namespace codmoe::engine {
namespace {

/// As runs of --seeds follow each other.
TEST(TrainerGpu, RunThatIsOverLeavesItsMemoryToTheNext) {
  if (!test::has_cuda()) GTEST_SKIP() << "no CUDA device";
  const test::TemporaryFolder folder;
  const c10::Device device(c10::kCUDA, 0);
  auto options = testing::small_options(testing::small_dataset(folder.path()));
  options.data.val.dir = testing::validation_set(folder / "val");
  options.engine.val_resolution = ValResolution::network;
  const auto reserved = [&] { return core::device_memory(device).reserved; };
  std::vector<int64_t> left;
  for (const auto* name : {"first", "second", "third"}) {
    const test::LogCapture log;
    Trainer(options, folder / name, device).run();
    EXPECT_EQ(log.count("engine.graph: steps of 1 images are replayed"), 1);
    EXPECT_EQ(log.count("engine.graph: validation batches of 1 images are replayed"), 1);
    const auto before = reserved();
    core::release_memory(device);
    EXPECT_LT(reserved(), before) << name;
    left.push_back(reserved());
  }
  EXPECT_LE(left[2], left[1]);  // the first one's libraries stay
}

}  // namespace
}  // namespace codmoe::engine
