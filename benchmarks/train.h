// The case "train": the whole training step of a detector, images already on the device.
#pragma once

#include "benchmarks/graph.h"
#include "benchmarks/record.h"
#include "codmoe/engine/options.h"

namespace codmoe::bench {

/// Every combination of dtype, batch and launch is a case.
struct TrainCaseOptions {
  model::DetectorOptions model;  ///< its fields stand at the top level: backbone, moe, moe_strides, decoder
  loss::DetectionLossOptions loss;
  engine::OptimizerOptions optimizer;
  int64_t size = 352;  ///< side of the square images, pixels
  std::vector<int64_t> batch = {32};
  std::vector<engine::Precision> dtype = {engine::Precision::bfloat16};  ///< bfloat16 is autocast, as in training
  std::vector<Launch> launch = {Launch::eager, Launch::graph};
  bool channels_last = true;
  int64_t seed = 0;  ///< of weights, images and masks
  TimingOptions timing{.warmup = 3};

  template <class Visitor>
  void fields(Visitor&& visit) {
    model.fields(visit);
    visit("loss", loss);
    visit("optimizer", optimizer);
    visit("size", size, core::at_least(32));
    visit("batch", batch, core::at_least(1));
    visit("dtype", dtype);
    visit("launch", launch);
    visit("channels_last", channels_last);
    visit("seed", seed, core::at_least(0));
    visit("timing", timing);
  }
  void check() const;
};

/// Times engine::TrainStep: forward, structure loss of four outputs, backward, clipping, AdamW, balance and telemetry.
std::vector<Record> run_train(const TrainCaseOptions& options, const c10::Device& device);

/// A table of one row a case, for a terminal.
std::string format_train(const std::vector<Record>& records);

/// Runs a few steps of the last case under LibTorch's profiler, writes a Chrome trace to `file` and returns a table of
/// the kernels that take longest. On CUDA alone.
std::string profile_train(const TrainCaseOptions& options, const c10::Device& device,
                          const std::filesystem::path& file);

}  // namespace codmoe::bench
