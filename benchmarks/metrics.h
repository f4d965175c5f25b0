// The case "metrics": how fast predictions are scored against their masks, on the CPU.
#pragma once

#include "benchmarks/record.h"
#include "codmoe/core/options.h"

namespace codmoe::bench {

enum class MetricsStage {
  decode,      ///< both files, as codmoe-eval reads them; the floor of `files`
  histograms,  ///< what all metrics but the weighted F-measure are functions of
  weighted_f,  ///< the weighted F-measure alone, on what is prepared
  score,       ///< all metrics that are not extended, in memory, and their means
  files        ///< the same from files: what codmoe-eval --pred --gt does
};
constexpr auto enum_names(MetricsStage) {
  return core::names<MetricsStage>({{"decode", MetricsStage::decode},
                                    {"histograms", MetricsStage::histograms},
                                    {"weighted-f", MetricsStage::weighted_f},
                                    {"score", MetricsStage::score},
                                    {"files", MetricsStage::files}});
}

/// Every stage is a case; `decode` and `files` only with folders.
struct MetricsCaseOptions {
  std::filesystem::path pred = {}, gt = {};  ///< folders of predictions and masks; both empty: synthetic pairs
  int64_t count = 64;                        ///< of synthetic pairs: how many,
  int64_t size = 352;                        ///< their side in pixels,
  int64_t seed = 0;                          ///< and what they are drawn from
  int64_t threads = 0;                       ///< 0: one a core
  std::vector<MetricsStage> stage = {MetricsStage::decode, MetricsStage::histograms, MetricsStage::weighted_f,
                                     MetricsStage::score, MetricsStage::files};
  double seconds = 2.0;  ///< no further pass over the pairs begins after this long; there are three at least

  template <class Visitor>
  void fields(Visitor&& visit) {
    visit("pred", pred);
    visit("gt", gt);
    visit("count", count, core::between(1, 1e6));
    visit("size", size, core::between(32, 8192));
    visit("seed", seed, core::at_least(0));
    visit("threads", threads, core::between(0, 1024));
    visit("stage", stage);
    visit("seconds", seconds, core::above(0.0));
  }
  void check() const;
};

/// Times whole passes over the pairs. Records have the stage as `form` and a batch of one image.
/// @throws core::Error for files that can't be read or paired, core::UsageError where no stage is possible or `device`
///   is not the CPU.
std::vector<Record> run_metrics(const MetricsCaseOptions& options, const c10::Device& device);

/// A table of one row a stage, for a terminal.
std::string format_metrics(const std::vector<Record>& records);

}  // namespace codmoe::bench
