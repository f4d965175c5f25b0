#include "benchmarks/data.h"

#include <gtest/gtest.h>

#include "benchmarks/compare.h"
#include "codmoe/core/error.h"
#include "codmoe/data/synth.h"
#include "support/temporary_folder.h"

namespace codmoe::bench {
namespace {

DataCaseOptions small_case(const std::filesystem::path& folder) {
  data::write_synth(folder / "set", {.count = 6, .size = 64, .seed = 1});
  DataCaseOptions options;
  options.data.dir = folder / "set";
  options.loader = {.batch_size = 4, .size = 32, .threads = 2, .prefetch = 2};
  options.seconds = 1e-3;
  return options;
}

TEST(DataCase, TimesEveryStageThatTheDeviceHas) {
  const test::TemporaryFolder folder;
  const auto records = run_data(small_case(folder), c10::kCPU);
  const std::vector<std::string> stages{"opencv", "read", "augment", "pack", "deliver", "ram"};
  ASSERT_EQ(records.size(), stages.size());
  for (std::size_t i = 0; i < stages.size(); ++i) {
    EXPECT_EQ(records[i].form, stages[i]);
    EXPECT_EQ(records[i].threads, 2);
    EXPECT_GE(records[i].runs, 3);
    EXPECT_GT(records[i].images_per_s, 0);
    EXPECT_NEAR(records[i].median_ms * records[i].images_per_s, 4e3, 1e-6);  // a batch of 4
  }
  EXPECT_NE(format_data(records).find("deliver"), std::string::npos);
  EXPECT_EQ(compare(records, records).size(), records.size());
}

TEST(DataCase, RefusesWhatItCannotTime) {
  const test::TemporaryFolder folder;
  auto options = small_case(folder);
  options.stage = {DataStage::gpu};
  EXPECT_THROW(run_data(options, c10::kCPU), core::UsageError);
  options.data.dir = "";
  EXPECT_THROW(options.check(), core::BadOption);
}

}  // namespace
}  // namespace codmoe::bench
