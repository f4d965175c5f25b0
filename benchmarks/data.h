// The case "data": how fast training samples are decoded, augmented and delivered as batches.
#pragma once

#include "benchmarks/record.h"
#include "codmoe/data/batch_source.h"

namespace codmoe::bench {

enum class DataStage {
  opencv,   ///< cv::imread of photograph and mask: the floor
  read,     ///< what training reads: upright, RGB, pairs of one size
  augment,  ///< the same, resampled and recoloured on the CPU
  pack,     ///< what the CPU does for batches that are made on a GPU: decoded samples in the ring of buffers
  deliver,  ///< batches from files (data.cache: none), on the device
  ram,      ///< batches from decoded samples, on the device (data.cache: ram)
  gpu       ///< batches of samples that lie on the GPU (data.cache: gpu)
};
constexpr auto enum_names(DataStage) {
  return core::names<DataStage>({{"opencv", DataStage::opencv},
                                 {"read", DataStage::read},
                                 {"augment", DataStage::augment},
                                 {"pack", DataStage::pack},
                                 {"deliver", DataStage::deliver},
                                 {"ram", DataStage::ram},
                                 {"gpu", DataStage::gpu}});
}

/// Every stage is a case; `gpu` only on CUDA.
struct DataCaseOptions {
  data::DatasetOptions data;
  data::LoaderOptions loader;
  data::AugmentOptions augment;
  std::vector<DataStage> stage = {DataStage::opencv,  DataStage::read, DataStage::augment, DataStage::pack,
                                  DataStage::deliver, DataStage::ram,  DataStage::gpu};
  double seconds = 5.0;  ///< no further pass over the set begins after this long; there are three at least
  int64_t seed = 0;      ///< of order and augmentation

  template <class Visitor>
  void fields(Visitor&& visit) {
    visit("data", data);
    visit("loader", loader);
    visit("augment", augment);
    visit("stage", stage);
    visit("seconds", seconds, core::above(0.0));
    visit("seed", seed, core::at_least(0));
  }
  void check() const;
};

/// Times whole passes over the set, after one to warm the file system's cache. Records have the stage as `form`, the
/// threads of `loader` as `threads`, and a pass's time as a batch's: median_ms is what a batch takes.
/// @throws core::Error for data that can't be read, core::UsageError where no stage is possible.
std::vector<Record> run_data(const DataCaseOptions& options, const c10::Device& device);

/// A table of one row a stage, for a terminal.
std::string format_data(const std::vector<Record>& records);

}  // namespace codmoe::bench
