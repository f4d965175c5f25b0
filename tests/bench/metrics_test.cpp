#include "benchmarks/metrics.h"

#include <gtest/gtest.h>

#include "benchmarks/compare.h"
#include "codmoe/core/error.h"
#include "codmoe/data/synth.h"
#include "support/temporary_folder.h"

namespace codmoe::bench {
namespace {

std::vector<std::string> forms(const std::vector<Record>& records) {
  std::vector<std::string> names;
  for (const auto& record : records) names.push_back(record.form.value_or(""));
  return names;
}

const MetricsCaseOptions quick{.count = 4, .size = 64, .threads = 2, .seconds = 1e-3};

TEST(MetricsCase, TimesSyntheticPairsInMemory) {
  const auto records = run_metrics(quick, c10::kCPU);
  EXPECT_EQ(forms(records), (std::vector<std::string>{"histograms", "weighted-f", "score"}));
  for (const auto& record : records) {
    EXPECT_EQ(record.threads, 2);
    EXPECT_GE(record.runs, 3);
    EXPECT_NEAR(record.median_ms * record.images_per_s, 1e3, 1e-6);
  }
  EXPECT_NE(format_metrics(records).find("weighted-f"), std::string::npos);
  EXPECT_EQ(compare(records, records).size(), records.size());
}

TEST(MetricsCase, TimesFilesToo) {
  const test::TemporaryFolder folder;
  auto options = quick;
  data::write_synth(folder / "set", {.count = 3, .size = 64, .seed = 1});
  options.pred = options.gt = folder / "set" / "GT";
  const auto records = run_metrics(options, c10::kCPU);
  EXPECT_EQ(forms(records), (std::vector<std::string>{"decode", "histograms", "weighted-f", "score", "files"}));
}

TEST(MetricsCase, RefusesWhatItCannotTime) {
  auto options = quick;
  options.stage = {MetricsStage::files};
  EXPECT_THROW(run_metrics(options, c10::kCPU), core::UsageError);
  EXPECT_THROW(run_metrics(quick, c10::kCUDA), core::UsageError);
  options.pred = "somewhere";
  EXPECT_THROW(options.check(), core::BadOption);
}

}  // namespace
}  // namespace codmoe::bench
